"""A lab with short ways, and one warm cluster a region: programs are performed there."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from itertools import chain, count
from time import monotonic
from typing import Any, Final, Self

import psycopg
from psycopg.conninfo import make_conninfo

import globaldb
from globaldb.lab import Lab, LabNode, LabSpec
from globaldb.lab.waiting import wait_until
from histories.history import Event, History, Kind
from histories.player import Player, Run
from histories.program import FAR, HOME, KEYS, REGIONS, SOUTH, Fault, Program

#: Distances short enough for many programs, and long enough that a far node is far.
SPEC: Final = LabSpec(
    regions={HOME: 1, FAR: 2, SOUTH: 1},
    rtt={(HOME, FAR): 0.035, (HOME, SOUTH): 0.025, (FAR, SOUTH): 0.030},
    # A session that plays alone would wait for itself.
    settings={"lock_timeout": "250ms"},
)
#: A program that takes longer than this hangs.
_LIMIT: Final = 30.0

_TABLES: Final = """
CREATE TABLE entries (run int, id int);
CREATE INDEX ON entries (run);
CREATE TABLE registers (run int, key int, version int, value int,
                        PRIMARY KEY (run, key))
"""


class Stage:
    """Everything that a program needs; use it as a context manager."""

    def __init__(self, lab: Lab, close: contextlib.ExitStack) -> None:
        self.lab = lab
        self._close = close
        self._runs = count(1)
        self.clusters: dict[str, Any] = {}
        writer = lab.writer()
        self._writer = close.enter_context(_direct(lab, writer))
        self._writer.execute("CREATE SCHEMA app")
        self._writer.execute(_TABLES)
        self._readers = {
            node.name: close.enter_context(_direct(lab, node, superuser=True))
            for node in lab.nodes
            if node != writer
        }
        for region in REGIONS:
            url = lab.url(region)
            cluster = globaldb.Cluster(url, autocommit=True, probe_interval=0.3)
            self.clusters[region] = close.enter_context(cluster)
        for cluster in self.clusters.values():
            _warm(cluster)

    @classmethod
    @contextlib.contextmanager
    def open(cls) -> Iterator[Self]:
        """Start the lab and the clusters; all ends with the block."""
        with contextlib.ExitStack() as close:
            lab = close.enter_context(Lab.start(SPEC))
            yield cls(lab, close)

    def perform(self, program: Program) -> History:
        """Carry *program* out, and return what happened."""
        run = Run(
            number=next(self._runs),
            clusters=self.clusters,
            cuts=any(fault.what == "cut" for fault in program.faults),
            history=History(home=HOME),
        )
        for key in KEYS:
            values = "INSERT INTO registers VALUES (%s, %s, 0, 0)"
            self._writer.execute(values, (run.number, key))
        operator = Operator(self.lab, self._readers, run.history)
        try:
            operator.begin(program)
            _play(_parts(program, run, operator))
        finally:
            operator.undo()
        self._look(run)
        return run.history

    def _look(self, run: Run) -> None:
        """Note what the writer holds in the end."""
        rows = self._writer.execute(
            "SELECT id FROM entries WHERE run = %s", (run.number,)
        )
        run.history.ids = tuple(number for (number,) in rows)
        rows = self._writer.execute(
            "SELECT key, version, value FROM registers WHERE run = %s", (run.number,)
        )
        run.history.registers = {key: (last, value) for key, last, value in rows}


class Operator:
    """Lets the faults of a program happen, and undoes them."""

    def __init__(
        self, lab: Lab, readers: dict[str, psycopg.Connection[Any]], history: History
    ) -> None:
        self._lab = lab
        self._readers = readers
        self._history = history
        self._healers: list[threading.Timer] = []
        self._faults = 0

    def begin(self, program: Program) -> None:
        """Set the lags that hold from the start."""
        for region, seconds in zip((FAR, SOUTH), program.lags, strict=True):
            if seconds:
                self._happen(Fault("lag", region, seconds))

    def play(self, faults: tuple[Fault, ...], *, paced: bool) -> Iterator[None]:
        """Let *faults* happen one after the other, *paced* by their own times."""
        for fault in faults:
            if paced:
                threading.Event().wait(fault.after)
            self._happen(fault)
            yield

    def undo(self) -> None:
        """Bring the lab back to rest."""
        for healer in self._healers:
            healer.join()
        if self._faults:
            for name in self._readers:
                self._pause(name, "resume")
            self._lab.restore()

    def _happen(self, fault: Fault) -> None:
        began = monotonic()
        self._faults += 1
        lab, region, other = self._lab, fault.region, fault.other
        match fault.what:
            case "lag":
                lab.lag(region, fault.seconds)
            case "latency":
                lab.latency(region, other, fault.seconds)
            case "partition":
                lab.partition(region, other)
                self._healers.append(threading.Timer(fault.seconds, lab.heal))
                self._healers[-1].start()
            case "cut":
                node = self._node(other, fault.node)
                lab.cut(region, node, "reply" if fault.when == "reply" else "request")
            case what:
                self._pause(self._node(region, fault.node), what)
        self._history.events.append(
            Event(
                session="lab",
                kind=Kind.OTHER,
                began=began,
                ended=monotonic(),
                text=_words(fault),
                mode="",
            )
        )

    def _node(self, region: str, index: int) -> str:
        names = [node.name for node in self._lab.nodes if node.region == region]
        return names[min(index, len(names) - 1)]

    def _pause(self, name: str, what: str) -> None:
        """Pause or resume the replay of a reader."""
        self._readers[name].execute(f"SELECT pg_wal_replay_{what}()")


def _words(fault: Fault) -> str:
    match fault.what:
        case "lag":
            return f"lag {fault.region} {fault.seconds}"
        case "cut":
            link = f"{fault.region} -> {fault.other} node {fault.node}"
            return f"cut {fault.when} {link}"
        case "pause" | "resume":
            return f"{fault.what} {fault.region} node {fault.node}"
        case _:
            return f"{fault.what} {fault.region} {fault.other} {fault.seconds}"


def _warm(cluster: Any) -> None:
    """Have every node known, and a connection to each reader's region open."""
    with cluster.connect() as connection:
        wait_until(
            lambda: all(node.reachable for node in cluster.topology.nodes.values()),
            limit=_LIMIT,
            what="a node does not answer",
        )
        for region in REGIONS:
            with connection.using(region=region):
                connection.execute("SELECT 1")


def _direct(
    lab: Lab, node: LabNode, *, superuser: bool = False
) -> psycopg.Connection[Any]:
    """Connect past the links, where no fault of theirs reaches."""
    dsn = lab.dsn(node.region, node.name, superuser=superuser)
    dsn = make_conninfo(dsn, host=node.host, port=node.port)
    return psycopg.connect(dsn, autocommit=True)


def _parts(program: Program, run: Run, operator: Operator) -> list[Iterator[None]]:
    """Return what runs at the same time: all players, or one in everybody's turns."""
    players: list[Iterator[None]] = [
        Player(number, script, run).play()
        for number, script in enumerate(program.scripts)
    ]
    paced = program.turns is None
    players.append(operator.play(program.faults, paced=paced))
    if program.turns is None:
        return players
    return [_in_turns(players, program.turns)]


def _in_turns(players: list[Iterator[None]], turns: tuple[int, ...]) -> Iterator[None]:
    """Advance one player at a time: as *turns* say, then each in order."""
    left = list(players)
    for number in chain(turns, count()):
        if not left:
            return
        player = left[number % len(left)]
        if next(player, StopIteration) is StopIteration:
            left.remove(player)
        yield


def _play(parts: list[Iterator[None]]) -> None:
    """Run *parts* to their end, each in a thread; raise what one of them raised."""
    raised: list[BaseException] = []

    def drain(part: Iterator[None]) -> None:
        try:
            for _ in part:
                pass
        except BaseException as error:  # noqa: BLE001 - raised again by the caller
            raised.append(error)

    threads = [threading.Thread(target=drain, args=(p,), daemon=True) for p in parts]
    for thread in threads:
        thread.start()
    until = monotonic() + _LIMIT
    for thread in threads:
        thread.join(max(0.0, until - monotonic()))
    if any(thread.is_alive() for thread in threads):
        raise TimeoutError(f"a program did not end within {_LIMIT:g} s")
    if raised:
        raise raised[0]
