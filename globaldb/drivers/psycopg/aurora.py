"""What Aurora's servers tell of themselves and of each other, and how they are asked.

Lag is told in milliseconds, replay latency beside it in microseconds; of the writer
there is none, or -1. A name is told for each instance, never a host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result

from globaldb.core.membership import Survey, surveyed
from globaldb.drivers.psycopg.segments import each

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg.pq.abc import PGresult

    from globaldb.core.fence import Facts
    from globaldb.drivers.psycopg.physical import Physical

_GLOBAL: Final = "pg_catalog.aurora_global_db_instance_status()"
_REPLICA: Final = "pg_catalog.aurora_replica_status()"
_IDENTITY: Final = "pg_catalog.aurora_db_instance_identifier()"

#: Whether these exist is looked up: an error would be in every server's log.
EXIST: Final[Mapping[str, bytes]] = {
    name: f"SELECT pg_catalog.to_regprocedure('{function}')".encode()
    for name, function in {
        "aurora_global": _GLOBAL,
        "aurora_replica": _REPLICA,
        "aurora_identity": _IDENTITY,
    }.items()
}

#: How many milliseconds a reader is behind the writer. Of the two, the first knows a
#: writer in another region.
LAG: Final[Mapping[str, bytes]] = {
    "aurora_global": (
        f"SELECT visibility_lag_in_msec FROM {_GLOBAL} WHERE server_id = {_IDENTITY}"  # noqa: S608 - made of the texts above
    ).encode(),
    "aurora_replica": (
        f"SELECT replica_lag_in_msec FROM {_REPLICA} WHERE server_id = {_IDENTITY}"  # noqa: S608 - made of the texts above
    ).encode(),
}

_OWN: Final = f"SELECT {_IDENTITY}".encode()
_WRITES: Final = "session_id = 'MASTER_SESSION_ID'"
#: Identifier, whether it writes, region, lag in milliseconds, and when that was noted.
#: The first knows every region; in the others instances that were removed stay for a
#: while. The last asks for nothing that was not always there.
_QUESTIONS: Final[Mapping[str, bytes]] = {
    "aurora_global": (
        f"SELECT server_id, {_WRITES}, aws_region, visibility_lag_in_msec, NULL"  # noqa: S608 - as above
        f" FROM {_GLOBAL}"
    ).encode(),
    "aurora_replica": (
        f"SELECT server_id, {_WRITES}, NULL, replica_lag_in_msec,"  # noqa: S608 - as above
        f" extract(epoch FROM last_update_timestamp) FROM {_REPLICA}"
        f" WHERE {_WRITES} OR last_update_timestamp IS NULL"
        " OR last_update_timestamp > pg_catalog.now() - interval '300 seconds'"
    ).encode(),
    "aurora_plain": (
        f"SELECT server_id, {_WRITES}, NULL, NULL, NULL FROM {_REPLICA}"  # noqa: S608 - as above
    ).encode(),
}


def views(found: Mapping[str, bytes | None]) -> frozenset[str]:
    """Return what of Aurora there is, by the answers to `EXIST`; nothing elsewhere."""
    known = {name for name in EXIST if found.get(name) is not None}
    return frozenset(known | ({"aurora_plain"} if "aurora_replica" in known else set()))


def survey(physical: Physical, facts: Facts) -> Survey | None:
    """Ask *physical*'s node for all instances that it knows; None outside of Aurora.

    One round trip; another for each way that tells nothing, and once for each that is
    refused. Raises psycopg's errors when all fail.
    """
    problem: psycopg.Error | None = None
    for name, question in _QUESTIONS.items():
        if name not in facts.now.views:
            continue
        identified = "aurora_identity" in facts.now.views
        asking = [question, _OWN] if identified else [question]
        answers = [segment[0][0] for segment in each(physical, asking)]
        try:
            rows = _rows(answers[0])
        except (psycopg.ProgrammingError, psycopg.NotSupportedError):
            facts.sees_nothing_in(name)
        except psycopg.Error as error:
            problem = error
        else:
            if rows:
                return surveyed(rows, _own(answers[1:]))
    if problem is not None:
        raise problem
    return None


def _rows(result: PGresult) -> list[tuple[str | None, ...]]:
    """Return what was answered as text; raises what was the matter instead."""
    if result.status != pq.ExecStatus.TUPLES_OK:
        raise error_from_result(result)
    return [
        tuple(_text(result.get_value(row, column)) for column in range(result.nfields))
        for row in range(result.ntuples)
    ]


def _own(answers: Sequence[PGresult]) -> str | None:
    """Return what the server calls itself, if it was asked and tells."""
    told = [each for each in answers if each.status == pq.ExecStatus.TUPLES_OK]
    return _rows(told[0])[0][0] if told else None


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")
