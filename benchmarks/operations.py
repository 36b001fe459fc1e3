"""The operations whose round trips are promised, each written once for any driver.

A connection is psycopg's or globaldb's: the work is the same, the trips are not. Each
operation runs ten times on one connection, with parameters that differ, because what
a driver does the sixth time (psycopg prepares the statement then) is not what it does
the first time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from benchmarks.meter import Trips

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: How often each operation is executed, and counted.
EXECUTIONS: Final = 10

TABLE: Final = "carts"
SCHEMA: Final = (
    f"DROP TABLE IF EXISTS {TABLE}",
    f"CREATE TABLE {TABLE} (id bigserial PRIMARY KEY, label text)",
)

_READ: Final = f"SELECT label FROM {TABLE} WHERE id = %s"
_WRITE: Final = f"INSERT INTO {TABLE} (label) VALUES (%s)"
_COPY: Final = f"COPY {TABLE} (label) FROM STDIN"


def _nothing(connection: Any) -> None:
    """Leave a new connection as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A row of the table: what is done, and what it may cost.

    *work* gets the connection and the number of the execution. *plain* is what
    psycopg needs at the writer in trips to other regions, *budget* what globaldb may
    need. *prepare* readies a new connection of either; *options* are globaldb's own.
    """

    name: str
    work: Callable[[Any, int], object]
    plain: int
    budget: Trips
    autocommit: bool = True
    prepare: Callable[[Any], None] = _nothing
    options: Mapping[str, Any] = field(default_factory=dict)


# One statement.


def _read(connection: Any, number: int) -> None:
    connection.execute(_READ, (number,)).fetchall()


def _write(connection: Any, number: int) -> None:
    connection.execute(_WRITE, (f"cart-{number}",))


def _executemany(connection: Any, number: int) -> None:
    labels = [(f"cart-{number}",), ("another",), ("a third",)]
    connection.cursor().executemany(_WRITE, labels)


def _set_and_write(connection: Any, number: int) -> None:
    connection.execute(f"SET work_mem = '{number + 1}MB'")
    _write(connection, number)


def _copy(connection: Any, number: int) -> None:
    with connection.cursor().copy(_COPY) as copy:
        copy.write_row((f"cart-{number}",))


def _stream(connection: Any, number: int) -> None:
    list(connection.cursor().stream(_READ, (number,)))


def _script(connection: Any, number: int) -> None:
    connection.execute(f"UPDATE {TABLE} SET label = '' WHERE id = {number}; SELECT 1")


# Transactions, in the three ways of saying so.

_Body = tuple["Callable[[Any, int], None]", ...]


def _then(body: _Body, end: str) -> Callable[[Any, int], None]:
    """PEP 249's way: the first statement begins, ``conn.commit()`` ends."""

    def work(connection: Any, number: int) -> None:
        for step in body:
            step(connection, number)
        getattr(connection, end)()

    return work


def _in_text(body: _Body, begin: str, end: str) -> Callable[[Any, int], None]:
    """BEGIN and COMMIT as statements, in autocommit."""

    def work(connection: Any, number: int) -> None:
        connection.execute(begin)
        for step in body:
            step(connection, number)
        connection.execute(end)

    return work


def _in_block(body: _Body) -> Callable[[Any, int], None]:
    """``with conn.transaction()``."""

    def work(connection: Any, number: int) -> None:
        with connection.transaction():
            for step in body:
                step(connection, number)

    return work


def _nested_blocks(connection: Any, number: int) -> None:
    with connection.transaction():
        _write(connection, number)
        with connection.transaction():
            _write(connection, number)
            with connection.transaction():
                _write(connection, number)


def _nested_text(connection: Any, number: int) -> None:
    connection.execute("BEGIN")
    _write(connection, number)
    connection.execute("SAVEPOINT outer_one")
    _write(connection, number)
    connection.execute("SAVEPOINT inner_one")
    _write(connection, number)
    connection.execute("RELEASE inner_one")
    connection.execute("RELEASE outer_one")
    connection.execute("COMMIT")


def _read_only(connection: Any) -> None:
    connection.read_only = True


def _transactions(name: str, body: _Body, *, plain: int, wide: int) -> list[Operation]:
    """One transaction that writes, said in three ways."""
    cost = Trips(wide, 0)
    return [
        Operation(
            name=f"{name}, commit()",
            work=_then(body, "commit"),
            autocommit=False,
            plain=plain,
            budget=cost,
        ),
        Operation(
            name=f"{name}, BEGIN in text",
            work=_in_text(body, "BEGIN", "COMMIT"),
            plain=plain,
            budget=cost,
        ),
        Operation(
            name=f"{name}, transaction()",
            work=_in_block(body),
            plain=plain,
            budget=cost,
        ),
    ]


def _read_only_transactions(reads: int) -> list[Operation]:
    name = f"read-only transaction of {reads} {'read' if reads == 1 else 'reads'}"
    body = (_read,) * reads
    cost = Trips(0, reads + 1)
    return [
        Operation(
            name=f"{name}, conn.read_only",
            work=_then(body, "commit"),
            autocommit=False,
            prepare=_read_only,
            plain=reads + 2,
            budget=cost,
        ),
        Operation(
            name=f"{name}, BEGIN READ ONLY",
            work=_in_text(body, "BEGIN READ ONLY", "COMMIT"),
            plain=reads + 2,
            budget=cost,
        ),
    ]


OPERATIONS: Final = (
    Operation(name="read", work=_read, plain=1, budget=Trips(0, 1)),
    Operation(
        name="read, eventual",
        work=_read,
        options={"consistency": "eventual"},
        plain=1,
        budget=Trips(0, 1),
    ),
    Operation(
        name="read, global",
        work=_read,
        options={"consistency": "global"},
        plain=1,
        budget=Trips(1, 0),
    ),
    Operation(name="write", work=_write, plain=1, budget=Trips(1, 0)),
    Operation(name="executemany", work=_executemany, plain=1, budget=Trips(1, 0)),
    Operation(name="SET, then write", work=_set_and_write, plain=2, budget=Trips(1, 1)),
    Operation(
        name="read and commit(), undeclared",
        work=_then((_read,), "commit"),
        autocommit=False,
        plain=3,
        budget=Trips(0, 2),
    ),
    *_transactions("transaction of 1 write", (_write,), plain=3, wide=2),
    *_transactions(
        "transaction of 3, first a write", (_write, _read, _write), plain=5, wide=4
    ),
    *_transactions("transaction of executemany", (_executemany,), plain=3, wide=2),
    *_transactions("transaction of COPY", (_copy,), plain=4, wide=4),
    *_transactions("transaction of stream()", (_stream,), plain=3, wide=3),
    *_transactions("transaction of a script", (_script,), plain=3, wide=3),
    Operation(
        name="3 nested writes, transaction()",
        work=_nested_blocks,
        plain=9,
        budget=Trips(4, 0),
    ),
    Operation(
        name="3 nested writes, SAVEPOINT in text",
        work=_nested_text,
        plain=9,
        budget=Trips(4, 0),
    ),
    *_read_only_transactions(1),
    *_read_only_transactions(3),
    Operation(
        name="write and rollback()",
        work=_then((_write,), "rollback"),
        autocommit=False,
        plain=3,
        budget=Trips(2, 0),
    ),
    Operation(
        name="empty transaction, commit()",
        work=_then((), "commit"),
        autocommit=False,
        plain=0,
        budget=Trips(0, 0),
    ),
    Operation(
        name="empty transaction, BEGIN in text",
        work=_in_text((), "BEGIN", "COMMIT"),
        plain=2,
        budget=Trips(0, 0),
    ),
    Operation(
        name="empty transaction, transaction()",
        work=_in_block(()),
        plain=2,
        budget=Trips(0, 0),
    ),
)
