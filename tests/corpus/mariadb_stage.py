"""Play scripts on a MariaDB writer, and see what its reader makes of each statement.

Both connections belong to a user that may not pass read_only. The reader has applied
all that the writer committed before it runs the next statement, so that both run it on
the same state; what sets a session is played on both.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Final, NamedTuple

import pymysql
from mariadb_pair import Pair, running_pair
from pymysql.constants import CLIENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from corpus.scripts import Script
    from globaldb.lab.mysql.server import MysqlServer

SCHEMA: Final = "test"
#: Seconds that a statement may run, that its answer may take, and a commit to arrive.
_STATEMENT: Final = 1.0
_ANSWER: Final = 4
_ARRIVAL: Final = 0.5
#: What a reader refuses without a look at data.
_PLAIN_WRITE: Final = re.compile(
    r"(?:insert|replace|update|delete|(?:create|drop|alter)\s(?!.*\btemporary\b))\b",
    re.IGNORECASE | re.DOTALL,
)
#: More scripts than this do not break their servers; then it is our mistake.
_MOST_LOST: Final = 20
#: What a script may make and the application's user may use.
_SCHEMAS: Final = ("test%", "mysqltest%", "db%", "d_", "app%", "s_", "my\\_%")
_OWN: Final = ("mysql", "information_schema", "performance_schema", "sys", "app")


class Outcome(NamedTuple):
    """What a server answered; *number* is 0 for success."""

    number: int
    message: str = ""

    @property
    def read_only(self) -> bool:
        """Whether the statement was refused because it needs the writer."""
        return self.number in (1792, 1836) or (
            self.number == 1290 and "read-only" in self.message
        )


class Played(NamedTuple):
    """A statement, and what both servers made of it.

    *silent* says that the reader wrote something to a log of its own.
    """

    script: str
    sql: str
    writer: Outcome
    reader: Outcome
    silent: bool = False


class Player:
    """A connection that answers with outcomes, and opens again when it broke."""

    def __init__(self, pair: Pair, server: MysqlServer) -> None:
        self._pair = pair
        self._server = server
        self._connection = self._open()

    def _open(self) -> pymysql.Connection[pymysql.cursors.Cursor]:
        return self._pair.connect(
            self._server,
            database=SCHEMA,
            client_flag=CLIENT.MULTI_STATEMENTS,
            init_command=f"SET max_statement_time = {_STATEMENT}, lock_wait_timeout = 1, "
            "innodb_lock_wait_timeout = 1",
            read_timeout=_ANSWER,
        )

    def run(self, sql: str) -> Outcome:
        """Run *sql*, with every result it has."""
        connection = self._connection
        try:
            connection.query(sql.encode(errors="replace"))
            while connection._result.has_next:
                connection.next_result()
        except pymysql.err.MySQLError as error:
            if not connection.open or isinstance(error, pymysql.err.InterfaceError):
                self.again()
            number, *text = error.args or (1,)
            number = number if isinstance(number, int) else 1
            if number in (2006, 2013, 2014, 1927):
                self.again()
            return Outcome(number or 1, str(text[0]) if text else "")
        except Exception as error:  # noqa: BLE001 - what the driver cannot read is no answer
            self.again()
            return Outcome(1, repr(error))
        return Outcome(0)

    def again(self) -> None:
        """Begin a new connection, as after a lost one."""
        self.close()
        self._connection = self._open()

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(pymysql.err.MySQLError):
            self._connection.close()


class Stage:
    """A writer and its reader, emptied before each script."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self._root = _rooted(pair.writer)
        self._reader_root = _rooted(pair.reader)
        self._committed = ""
        pair.allow_reading()
        self._grant()

    def _grant(self) -> None:
        for pattern in _SCHEMAS:
            self._ask(self._root, f"GRANT ALL ON `{pattern}`.* TO app")

    def close(self) -> None:
        """Close what this stage holds."""
        self._root.close()
        self._reader_root.close()

    def play(self, script: Script) -> Iterator[Played]:
        """Run the statements of *script* in their order."""
        self._empty()
        writer, reader = (
            Player(self.pair, server) for server in (self.pair.writer, self.pair.reader)
        )
        try:
            for item in script.items:
                if not _PLAIN_WRITE.match(item.sql) and not self._arrived(_ARRIVAL):
                    # The reader's own transaction keeps replication waiting.
                    reader.again()
                    self._recover()
                before = self._own_log()
                on_reader = reader.run(item.sql)
                silent = self._own_log() != before
                yield Played(
                    script.name, item.sql, writer.run(item.sql), on_reader, silent
                )
        finally:
            writer.close()
            reader.close()

    def _own_log(self) -> str:
        """How far the reader's log has what it did not get from the writer."""
        (state,) = self._ask(self._reader_root, "SELECT @@global.gtid_binlog_state")
        own = [gtid for gtid in str(state).split(",") if gtid.split("-")[1:2] == ["2"]]
        return ",".join(own)

    def _empty(self) -> None:
        """Begin as new: no schemas, no connections, the user as it was."""
        for root in (self._root, self._reader_root):
            self._ask(root, "KILL HARD USER app")
            _end_branches(root)
        self._ask(self._root, f"ALTER USER app IDENTIFIED BY '{self.pair.password}'")
        with self._root.cursor() as cursor:
            cursor.execute("SHOW DATABASES")
            names = [name for (name,) in cursor.fetchall() if name not in _OWN]
            for name in names:
                cursor.execute(f"DROP DATABASE `{name.replace('`', '``')}`")
            cursor.execute(f"CREATE DATABASE {SCHEMA}")
        if not self._arrived(10):
            self._recover()

    def _arrived(self, limit: float) -> bool:
        """Whether the reader has applied the writer's commits, within *limit* seconds."""
        (position,) = self._ask(self._root, "SELECT @@global.gtid_binlog_pos")
        if position == self._committed:
            return True
        wait = f"SELECT MASTER_GTID_WAIT('{position}', {limit})"
        (late,) = self._ask(self._reader_root, wait)
        if not late:
            self._committed = position
        return not late

    def _recover(self) -> None:
        if self._arrived(5):
            return
        for sql in ("STOP SLAVE", "SET GLOBAL sql_slave_skip_counter = 1"):
            self._ask(self._reader_root, sql)
        self._ask(self._reader_root, "START SLAVE")
        if not self._arrived(5):
            raise AssertionError(f"the reader is stuck: {self.pair.slave_error()}")

    @staticmethod
    def _ask(
        connection: pymysql.Connection[pymysql.cursors.Cursor], sql: str
    ) -> tuple[object, ...]:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone() or ()


def _end_branches(root: pymysql.Connection[pymysql.cursors.Cursor]) -> None:
    """Roll back what was prepared for a second phase: it outlives its connection."""
    with root.cursor() as cursor:
        cursor.execute("XA RECOVER FORMAT='SQL'")
        for *_, branch in cursor.fetchall():
            with contextlib.suppress(pymysql.err.MySQLError):
                cursor.execute(f"XA ROLLBACK {branch}")


def _rooted(server: MysqlServer) -> pymysql.Connection[pymysql.cursors.Cursor]:
    return pymysql.connect(
        unix_socket=str(server.door), user="root", ssl_disabled=True, autocommit=True
    )


@contextlib.contextmanager
def mariadb_stage() -> Iterator[Stage]:
    """Start a writer and a reader for scripts, and stop them at the end."""
    settings = {
        "slave-skip-errors": "all",
        "event-scheduler": "OFF",
    }
    with running_pair(settings) as pair, contextlib.closing(Stage(pair)) as stage:
        yield stage


def play_all(scripts: Iterable[Script]) -> Iterator[Played]:
    """Play *scripts*; one that breaks a server or locks us out costs new servers."""
    rest = list(scripts)
    lost = 0
    while rest:
        with mariadb_stage() as stage:
            while rest:
                script = rest.pop(0)
                try:
                    yield from stage.play(script)
                except (pymysql.err.MySQLError, AssertionError):
                    lost += 1
                    if lost > _MOST_LOST:
                        raise
                    break
