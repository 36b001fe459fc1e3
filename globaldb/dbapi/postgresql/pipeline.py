"""``with conn.pipeline()``: psycopg's own pipeline, on one connection to the writer."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from globaldb.core.statement import Statement, Verdict
from globaldb.dbapi.postgresql.story import raise_both

if TYPE_CHECKING:
    from collections.abc import Iterator

    from globaldb.dbapi.postgresql.connection import Connection
    from globaldb.drivers.psycopg.physical import Physical

_WHOLE = Statement(Verdict.WRITE, "pipeline", "")


@contextmanager
def piped(face: Connection) -> Iterator[psycopg.Pipeline]:
    """Let psycopg queue what *face* executes; what it does itself, it does in full.

    Inside, BEGIN, COMMIT and blocks are psycopg's too: they have to stand in its
    queue. So the physical connection gets the modes of the routed one meanwhile.
    """
    with face.holding(_WHOLE, begin=False) as link:
        link.leave_rows()
        _take_modes(link, face)
        try:
            with link.pipeline() as pipeline:
                face._pipeline = pipeline
                yield pipeline
        except psycopg.Error as error:
            raise_both(face, error)
        finally:
            face._pipeline = None
            _forget_modes(link)


def _take_modes(link: Physical, face: Connection) -> None:
    link._autocommit = face.autocommit
    link._isolation_level = face.isolation_level
    link._read_only = face.read_only
    link._deferrable = face.deferrable
    link._begin_statement = b""


def _forget_modes(link: Any) -> None:
    link._autocommit = True
    link._isolation_level = link._read_only = link._deferrable = None
    link._begin_statement = b""
