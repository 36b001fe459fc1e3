"""The demo's story on MySQL and MariaDB: the session in which Aurora shows forwarding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from globaldb.cli.demo_story import (
    FROM_READER,
    FROM_WRITER,
    INSERT,
    LOOKS,
    READER_SIDE,
    SELECT,
    WRITER_SIDE,
    Answer,
    Operation,
    Script,
    Step,
    column,
    done,
)

if TYPE_CHECKING:
    from collections.abc import Callable

#: What a server that is read only says to a write.
_READ_ONLY: Final = 1290


def _refused(answer: Answer) -> bool:
    return answer.number == _READ_ONLY


_WALKTHROUGH: Final = (
    Step(WRITER_SIDE, "create schema globaldb", "done", done),
    Step(WRITER_SIDE, "use globaldb", "done", done),
    Step(
        WRITER_SIDE,
        "CREATE TABLE test_table (row_id int NOT NULL AUTO_INCREMENT,"
        " column01 varchar(45) DEFAULT NULL, PRIMARY KEY (row_id))",
        "done",
        done,
    ),
    Step(WRITER_SIDE, INSERT.format(FROM_WRITER), "done", done),
    Step(WRITER_SIDE, SELECT, "the row", column(FROM_WRITER)),
    Step(
        READER_SIDE,
        "use globaldb",
        "done, once replication has brought it",
        done,
        patience=5.0,
    ),
    Step(
        READER_SIDE,
        SELECT,
        "the row, once replication has brought it",
        column(FROM_WRITER),
        patience=5.0,
    ),
    Step(
        READER_SIDE,
        "select @@aurora_replica_read_consistency",
        "empty: nothing is forwarded",
        column(""),
    ),
    Step(
        READER_SIDE,
        INSERT.format(FROM_READER),
        "refused as read-only, error 1290",
        _refused,
    ),
    Step(
        READER_SIDE, "set @@aurora_replica_read_consistency = 'session'", "done", done
    ),
    Step(READER_SIDE, INSERT.format(FROM_READER), "done, at the writer", done),
    Step(READER_SIDE, SELECT, "both rows, at once", column(FROM_WRITER, FROM_READER)),
)

_MEASURED: Final = (
    "demo_measured (id bigint AUTO_INCREMENT PRIMARY KEY, note varchar(45))"
)
_READ: Final = "SELECT max(id) FROM demo_measured"
_WRITE: Final = "INSERT INTO demo_measured (note) VALUES ('a note')"


def _said(*statements: str) -> Callable[[Any], None]:
    """Return work that executes *statements* one after the other."""

    def work(connection: Any) -> None:
        with connection.cursor() as cursor:
            for sql in statements:
                cursor.execute(sql)
                cursor.fetchall()

    return work


_OPERATIONS: Final = (
    Operation("read", _said(_READ), most=0),
    Operation("write", _said(_WRITE), most=1),
    Operation("write, then read it back", _said(_WRITE, _READ), most=2),
    Operation(
        "transaction: write, read, write",
        _said("BEGIN", _WRITE, _READ, _WRITE, "COMMIT"),
        most=4,
    ),
    Operation(
        "write in a nested transaction",
        _said(
            "BEGIN",
            "SAVEPOINT inner_one",
            _WRITE,
            "RELEASE SAVEPOINT inner_one",
            "COMMIT",
        ),
        most=2,
    ),
    Operation(
        "read-only transaction of 3 reads",
        _said("START TRANSACTION READ ONLY", _READ, _READ, _READ, "COMMIT"),
        most=0,
    ),
)

MYSQL: Final = Script(_WALKTHROUGH, LOOKS, _OPERATIONS, _MEASURED)
