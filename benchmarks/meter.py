"""Round trips of a piece of work, as the lab's proxy counted them."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from globaldb.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from globaldb.lab import Lab

#: Seconds a reader may take to replay what was written before a measurement.
_CATCH_UP = 20.0


class Trips(NamedTuple):
    """Round trips to other regions (W) and within the client's own (L)."""

    wide: int
    local: int

    def __sub__(self, other: Trips) -> Trips:
        return Trips(self.wide - other.wide, self.local - other.local)

    def __str__(self) -> str:
        return f"{self.wide} W {self.local} L"


class Meter:
    """Counts what clients in one region of a lab send.

    The trip of a TCP handshake counts too. Nothing else may talk from that region
    meanwhile: warm the pools, and keep the monitor's probes apart.
    """

    def __init__(self, lab: Lab, region: str) -> None:
        self._lab = lab
        self.region = region

    def total(self) -> Trips:
        """Return everything that was counted so far."""
        wide = local = 0
        for link in self._lab.counters():
            if link.client_region == self.region:
                trips = link.round_trips + link.connects
                wide, local = (
                    (wide + trips, local) if link.wide_area else (wide, local + trips)
                )
        return Trips(wide, local)

    def count(self, work: Callable[[], object]) -> Trips:
        """Do *work* and return what it cost."""
        before = self.total()
        work()
        return self.total() - before


class Replication:
    """Waits for a region's readers without passing the links that are counted."""

    def __init__(self, lab: Lab, region: str) -> None:
        writer = lab.writer()
        self._writer = _beside_the_links(lab, writer.host, writer.port)
        self._readers = [
            _beside_the_links(lab, node.host, node.port)
            for node in lab.nodes
            if node.region == region and node != writer
        ]

    def settle(self) -> None:
        """Return once every reader shows all that the writer has done.

        The commit of its own makes durable what stands before it: records that the
        server writes for itself may otherwise lie beyond what is flushed and sent,
        and a session's position behind them.
        """
        self._writer.execute("SELECT pg_logical_emit_message(true, 'settled', '')")
        row = self._writer.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
        assert row is not None
        for reader in self._readers:
            wait_until(
                partial(_shows, reader, row[0]),
                limit=_CATCH_UP,
                what=f"a reader does not reach {row[0]}",
            )

    def close(self) -> None:
        """Close the connections it looks with."""
        for connection in (self._writer, *self._readers):
            connection.close()


def _beside_the_links(lab: Lab, host: str, port: int) -> psycopg.Connection:
    some = lab.dsn(next(iter(lab.spec.regions)), lab.nodes[0].name)
    dsn = re.sub(r"host=\S+ port=\S+", f"host={host} port={port}", some)
    return psycopg.connect(dsn, autocommit=True)


def _shows(reader: psycopg.Connection, position: str) -> bool:
    row = reader.execute(
        "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", (position,)
    ).fetchone()
    return row is not None and bool(row[0])
