"""Play scripts on a writer, and see what a standby makes of each statement.

Both connections are plain libpq, in autocommit unless the script says otherwise. The
writer waits for the standby to apply each commit, so the standby runs every statement
on the very state the writer left. What sets a session is played on both.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import psycopg
from psycopg import pq

from globaldb.core.catalog import EMPTY, Catalog
from globaldb.drivers.psycopg.catalog import read_catalog
from globaldb.lab import Lab, LabSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corpus.scripts import Item, Script

REGION: Final = "us-west-2"
#: Milliseconds a statement may take.
_TIMEOUT: Final = 1500
_READ_ONLY: Final = (
    ("25006", ""),
    ("0A000", "cannot use serializable mode in a hot standby"),
    ("0A000", "temporary or unlogged relations during recovery"),
    ("0A000", "read-write mode during recovery"),
    ("55000", "recovery is in progress"),
    ("XX000", "during recovery"),
)

# A SET of these would change what the standby answers to all that follows.
_LEFT_OUT: Final = ("isolation", "read_only", "transaction", "timeout")
_CONTROL: Final = frozenset(
    ("begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release")
)
_DONE: Final = (
    pq.ExecStatus.COMMAND_OK,
    pq.ExecStatus.TUPLES_OK,
    pq.ExecStatus.EMPTY_QUERY,
    pq.ExecStatus.COPY_IN,
    pq.ExecStatus.COPY_OUT,
)
#: Every table of the scripts' own fixtures gets rows: what is not run shows nothing.
_FILL: Final = """
DO $$ BEGIN
  INSERT INTO tenk1 SELECT n, n, n%2, n%4, n%10, n%20, n%100, n%1000, n%2000, n%5000,
    n, n%100, n%100, 'A'||n, 'B'||n, 'O' FROM generate_series(0, 499) n;
  INSERT INTO onek SELECT * FROM tenk1;
  INSERT INTO tenk2 SELECT * FROM tenk1;
END $$"""


class Outcome(NamedTuple):
    """What a server answered: an empty *state* is success."""

    state: str
    message: str = ""

    @property
    def read_only(self) -> bool:
        """Whether the statement was refused because it needs the writer."""
        return any(
            self.state == state and words in self.message for state, words in _READ_ONLY
        )


class Played(NamedTuple):
    """A statement, and what both made of it; `None` where it was not run."""

    script: str
    sql: str
    writer: Outcome
    standby: Outcome | None


class Connection:
    """A libpq connection that answers with outcomes, and opens again when it broke."""

    def __init__(self, dsn: str, timeout: int = _TIMEOUT) -> None:
        self._dsn = f"{dsn} options='-c statement_timeout={timeout}'"
        self._wire = self._open()

    def _open(self) -> pq.abc.PGconn:
        wire = pq.PGconn.connect(self._dsn.encode())
        if wire.status != pq.ConnStatus.OK:
            raise psycopg.OperationalError(wire.get_error_message())
        wire.notice_handler = None
        return wire

    def run(self, sql: str, data: str = "") -> Outcome:
        """Run *sql*; *data* feeds a COPY FROM STDIN."""
        if "\0" in sql:
            return Outcome("22021", "no NUL in a statement")
        self._wire.send_query(sql.encode(errors="replace"))
        outcome = Outcome("")
        while (result := self._wire.get_result()) is not None:
            if result.status not in _DONE:
                outcome = _failure(result)
            self._copy(result, data)
        if self._wire.status != pq.ConnStatus.OK:
            self._wire.finish()
            self._wire = self._open()
            return Outcome("08000", "the server closed the connection")
        return outcome

    def _copy(self, result: pq.abc.PGresult, data: str) -> None:
        if result.status == pq.ExecStatus.COPY_IN:
            if data:
                self._wire.put_copy_data(data.encode(errors="replace"))
            self._wire.put_copy_end()
        while (
            result.status == pq.ExecStatus.COPY_OUT
            and self._wire.get_copy_data(0)[0] > 0
        ):
            pass

    def close(self) -> None:
        """Close the connection."""
        self._wire.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _failure(result: pq.abc.PGresult) -> Outcome:
    state = result.error_field(pq.DiagnosticField.SQLSTATE) or b"08000"
    message = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b""
    return Outcome(state.decode(), message.decode(errors="replace"))


class Stage:
    """A writer, a standby, and a database of its own for each script."""

    def __init__(self, lab: Lab) -> None:
        writer, standby = lab.nodes
        self._dsns = tuple(
            lab.dsn(REGION, node.name, superuser=True) for node in (writer, standby)
        )
        #: Where the catalog of the played database is read, and what it said last.
        self._asked: psycopg.Connection | None = None
        self._said: Catalog | None = None
        with self._admin() as admin:
            for sql in (
                "ALTER SYSTEM SET synchronous_standby_names = '*'",
                "ALTER SYSTEM SET synchronous_commit = remote_apply",
                "SELECT pg_reload_conf()",
                "CREATE ROLE regress_corpus",
            ):
                admin.run(sql)

    def _connect(self, node: int, database: str = "app") -> Connection:
        return Connection(self._dsns[node].replace("dbname=app", f"dbname={database}"))

    def _admin(self) -> Connection:
        """Connect as who makes databases, which takes its time on a busy machine."""
        return Connection(self._dsns[0], timeout=0)

    def prepare(self, scripts: list[Script]) -> None:
        """Make what every script finds in its database."""
        with self._admin() as admin:
            admin.run("CREATE DATABASE fixtures")
        with self._connect(0, "fixtures") as writer:
            for script in scripts:
                for item in script.items:
                    writer.run(*item)
                writer.run(_FILL)
                for command in ("ROLLBACK", "DISCARD ALL"):
                    writer.run(command)

    def play(self, script: Script) -> Iterator[Played]:
        """Run the statements of *script* in their order."""
        database = f"play_{script.name}".replace(".", "_")
        with self._admin() as admin:
            admin.run(f"CREATE DATABASE {database} TEMPLATE fixtures")
            try:
                with (
                    self._connect(0, database) as writer,
                    self._connect(1, database) as standby,
                    self._asking(database),
                ):
                    for item in script.items:
                        played = Played(
                            script.name, item.sql, *_both(writer, standby, item)
                        )
                        if played.standby is None or played.standby.read_only:
                            self._said = None
                        yield played
            finally:
                admin.run(f"DROP DATABASE {database} WITH (FORCE)")

    @contextlib.contextmanager
    def _asking(self, database: str) -> Iterator[None]:
        dsn = self._dsns[0].replace("dbname=app", f"dbname={database}")
        options = f"-c statement_timeout={_TIMEOUT}"
        with psycopg.connect(dsn, options=options, autocommit=True) as self._asked:
            yield
        self._asked = self._said = None

    def catalog(self) -> Catalog:
        """Return what the database that is played in says of its own objects now.

        Of what is not committed it says nothing; nor where the script has locked it.
        """
        if self._said is None:
            try:
                self._said = read_catalog(self._asked)
            except psycopg.Error:
                return EMPTY
        return self._said


def _both(
    writer: Connection, standby: Connection, item: Item
) -> tuple[Outcome, Outcome | None]:
    text = item.sql.lower()
    first = text.split(None, 1)[0].strip("(;")
    on_writer = writer.run(*item)
    left_out = first in _CONTROL or (
        first == "set" and any(word in text for word in _LEFT_OUT)
    )
    return on_writer, None if left_out else standby.run(*item)


@contextlib.contextmanager
def stage() -> Iterator[Stage]:
    """Start a writer and a standby, and stop them at the end."""
    spec = LabSpec(
        regions={REGION: 1},
        direct=True,
        settings={"wal_writer_delay": "10ms", "max_prepared_transactions": "5"},
    )
    with Lab.start(spec) as lab:
        yield Stage(lab)
