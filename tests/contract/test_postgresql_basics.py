"""PEP 249 and the connection as an object, beside psycopg's."""

from __future__ import annotations

import datetime as dt
import gc
import operator
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg import sql

import globaldb
from globaldb.lab import Lab

IDLE = psycopg.pq.TransactionStatus.IDLE
INTRANS = psycopg.pq.TransactionStatus.INTRANS
INERROR = psycopg.pq.TransactionStatus.INERROR


def test_module_says_what_pep_249_asks() -> None:
    assert globaldb.apilevel == psycopg.apilevel == "2.0"
    assert globaldb.threadsafety == psycopg.threadsafety == 2
    assert globaldb.paramstyle == psycopg.paramstyle == "pyformat"


@pytest.mark.parametrize(
    "name",
    [
        "Error",
        "InterfaceError",
        "DatabaseError",
        "DataError",
        "OperationalError",
        "IntegrityError",
        "InternalError",
        "ProgrammingError",
        "NotSupportedError",
    ],
)
def test_connection_offers_the_exceptions_as_attributes(conn: Any, name: str) -> None:
    assert issubclass(getattr(conn, name), Exception)
    assert issubclass(getattr(psycopg, name), getattr(conn, name))


def test_types_equal_the_codes_of_their_columns(auto: Any) -> None:
    module = psycopg if type(auto) is psycopg.Connection else globaldb
    cursor = auto.execute(
        "SELECT 'a'::text, 1::int, 1.5::numeric, now(), '\\x00'::bytea, 1::oid"
    )
    codes = [column.type_code for column in cursor.description]
    kinds = ("STRING", "NUMBER", "NUMBER", "DATETIME", "BINARY", "ROWID")
    for code, kind in zip(codes, kinds, strict=True):
        assert getattr(module, kind) == code


def test_constructors_make_what_the_driver_adapts(auto: Any) -> None:
    module = psycopg if type(auto) is psycopg.Connection else globaldb
    row = auto.execute(
        "SELECT %s, %s, %s, %s",
        (
            module.Date(2024, 2, 29),
            module.Time(1, 2, 3),
            module.Timestamp(2024, 2, 29, 1, 2, 3),
            module.Binary(b"\x00\xff"),
        ),
    ).fetchone()
    assert row == (
        dt.date(2024, 2, 29),
        dt.time(1, 2, 3),
        dt.datetime(2024, 2, 29, 1, 2, 3),  # noqa: DTZ001 - as the server answers
        b"\x00\xff",
    )


def test_connection_is_a_psycopg_connection(conn: Any) -> None:
    assert isinstance(conn, psycopg.Connection)
    assert isinstance(conn.cursor(), psycopg.Cursor)
    assert conn.cursor_factory is psycopg.Cursor
    assert conn.server_cursor_factory is psycopg.ServerCursor


def test_cursor_fetches_in_every_way(auto: Any) -> None:
    cursor = auto.cursor()
    cursor.execute("SELECT generate_series(1, 10)")
    assert cursor.rowcount == 10
    assert cursor.rownumber == 0
    assert cursor.fetchone() == (1,)
    assert cursor.fetchmany() == [(2,)]
    cursor.arraysize = 2
    assert cursor.fetchmany() == [(3,), (4,)]
    assert cursor.fetchmany(3) == [(5,), (6,), (7,)]
    assert next(cursor) == (8,)
    assert cursor.rownumber == 8
    cursor.scroll(-1)
    assert list(cursor) == [(8,), (9,), (10,)]
    assert cursor.fetchone() is None
    assert cursor.fetchall() == []
    with pytest.raises(StopIteration):
        next(cursor)
    with pytest.raises(IndexError):
        cursor.scroll(20, mode="absolute")


def test_description_and_status_tell_of_the_result(auto: Any) -> None:
    cursor = auto.cursor()
    assert cursor.description is None
    assert cursor.statusmessage is None
    cursor.execute("SELECT 1::numeric(10, 2) AS price, 'x'::varchar(7) AS name")
    price, name = cursor.description
    assert price.name == "price"
    assert (price.precision, price.scale) == (10, 2)
    assert name[0] == "name"
    assert name.display_size == 7
    assert cursor.statusmessage == "SELECT 1"


def test_statements_without_rows_refuse_to_fetch(conn: Any, table: str) -> None:
    cursor = conn.cursor()
    with pytest.raises(psycopg.ProgrammingError, match="no result"):
        cursor.fetchone()
    cursor.execute(f"CREATE TABLE {table} (n int)")
    assert cursor.statusmessage == "CREATE TABLE"
    assert cursor.description is None
    for fetch in (cursor.fetchone, cursor.fetchmany, cursor.fetchall):
        with pytest.raises(psycopg.ProgrammingError, match="didn't produce"):
            fetch()


def test_values_of_many_types_travel_both_ways(auto: Any) -> None:
    values = {
        "text": "grüß \\ ' \" %",
        "int": 2**40,
        "float": 1.5,
        "dec": Decimal("12.340"),
        "bool": True,
        "none": None,
        "bytes": bytes(range(256)),
        "array": [1, 2, None],
        "interval": dt.timedelta(days=1, seconds=2),
        "when": dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC),
    }
    query = "SELECT " + ", ".join(f"%({name})s" for name in values)
    assert auto.execute(query, values).fetchone() == tuple(values.values())


def test_percent_signs_follow_the_rules_of_pyformat(auto: Any) -> None:
    assert auto.execute("SELECT 'a%b'").fetchone() == ("a%b",)
    assert auto.execute("SELECT 'a%%b', %s::int", (1,)).fetchone() == ("a%b", 1)
    with pytest.raises(psycopg.ProgrammingError):
        auto.execute("SELECT %s, %s", (1,))
    with pytest.raises(psycopg.ProgrammingError):
        auto.execute("SELECT %(a)s, %s", {"a": 1})
    with pytest.raises(TypeError):
        auto.execute("SELECT %s", 1)


def test_queries_may_be_composed_or_bytes(auto: Any) -> None:
    name = 'we"ird'
    query = sql.SQL("SELECT {} AS {}").format(sql.Literal("it's"), sql.Identifier(name))
    cursor = auto.execute(query)
    assert cursor.fetchone() == ("it's",)
    assert cursor.description[0].name == name
    assert auto.execute(b"SELECT 2").fetchone() == (2,)
    placed = sql.SQL("SELECT {}::int").format(sql.Placeholder())
    assert auto.execute(placed, (3,)).fetchone() == (3,)


def test_quoting_needs_no_statement(conn: Any) -> None:
    assert sql.Identifier('a"b', "c").as_string(conn) == '"a""b"."c"'
    assert sql.Literal("it's").as_string(conn) == "'it''s'"
    assert sql.Literal("back\\slash").as_string(conn).strip() == r"E'back\\slash'"
    assert sql.Literal(dt.date(2024, 2, 29)).as_string(conn) == "'2024-02-29'::date"
    assert conn.info.transaction_status == IDLE
    assert psycopg.pq.Escaping(conn.pgconn).escape_identifier(b"x") == b'"x"'


def test_info_answers_without_a_statement(conn: Any, near_lab: Lab) -> None:
    info = conn.info
    assert info.dbname == "app"
    assert info.user == "app"
    assert info.vendor == "PostgreSQL"
    assert info.host.startswith("127.")
    assert info.port > 0
    assert info.password
    assert info.server_version >= 180000
    assert info.encoding == "utf-8"
    assert str(info.timezone) in ("UTC", "Etc/UTC", "GMT")
    assert info.parameter_status("server_encoding") == "UTF8"
    assert info.parameter_status("nonsense") is None
    assert info.backend_pid > 0
    assert info.status == psycopg.pq.ConnStatus.OK
    assert info.pipeline_status == psycopg.pq.PipelineStatus.OFF
    assert "dbname=app" in info.dsn
    assert "password" not in info.dsn


def test_info_follows_the_settings_of_the_session(auto: Any) -> None:
    auto.execute("SET timezone TO 'Europe/Rome'")
    assert auto.info.timezone.key == "Europe/Rome"
    assert auto.info.parameter_status("TimeZone") == "Europe/Rome"
    auto.execute("SET client_encoding TO latin1")
    assert auto.info.encoding == "iso8859-1"
    assert auto.execute("SELECT 'grüß', %s", ("ß",)).fetchone() == ("grüß", "ß")
    auto.execute("RESET timezone")
    assert str(auto.info.timezone) in ("UTC", "Etc/UTC", "GMT")


def test_status_follows_the_transaction(conn: Any) -> None:
    assert conn.info.transaction_status == IDLE
    conn.execute("SELECT 1")
    assert conn.info.transaction_status == INTRANS
    conn.commit()
    assert conn.info.transaction_status == IDLE
    with pytest.raises(psycopg.Error):
        conn.execute("SELECT nonsense")
    assert conn.info.transaction_status == INERROR
    conn.rollback()
    assert conn.info.transaction_status == IDLE
    with conn.transaction():
        assert conn.info.transaction_status == INTRANS
    assert conn.info.transaction_status == IDLE
    conn.close()
    assert conn.info.transaction_status == psycopg.pq.TransactionStatus.UNKNOWN
    assert conn.info.status == psycopg.pq.ConnStatus.BAD


def fail_inside(block: Any, first: Any) -> None:
    with block:
        first()
        raise ZeroDivisionError


def test_with_commits_and_closes(side: Any, table: str) -> None:
    with side.connect() as conn:
        conn.execute(f"CREATE TABLE {table} (n int)")
        conn.execute(f"INSERT INTO {table} VALUES (1)")
    assert conn.closed
    conn = side.connect()
    with pytest.raises(ZeroDivisionError):
        fail_inside(conn, lambda: conn.execute(f"INSERT INTO {table} VALUES (2)"))
    assert conn.closed
    with side.connect() as conn:
        assert conn.execute(f"SELECT n FROM {table}").fetchall() == [(1,)]


def test_with_lets_the_block_close_the_connection(side: Any) -> None:
    with side.connect() as conn:
        conn.close()
    conn = side.connect()
    with pytest.raises(ZeroDivisionError):
        fail_inside(conn, conn.close)


def test_closing_rolls_back(side: Any, table: str) -> None:
    with side.connect() as conn:
        conn.execute(f"CREATE TABLE {table} (n int)")
    conn = side.connect()
    conn.execute(f"INSERT INTO {table} VALUES (1)")
    conn.close()
    conn.close()
    with side.connect() as conn:
        assert conn.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


@pytest.mark.parametrize(
    "use",
    [
        lambda conn: conn.execute("SELECT 1"),
        operator.methodcaller("cursor"),
        operator.methodcaller("commit"),
        operator.methodcaller("rollback"),
        lambda conn: conn.transaction().__enter__(),
        lambda conn: conn.pipeline().__enter__(),
        lambda conn: next(conn.notifies(timeout=0)),
    ],
    ids=["execute", "cursor", "commit", "rollback", "block", "pipeline", "notifies"],
)
def test_closed_connection_refuses_work(conn: Any, use: Any) -> None:
    assert not conn.closed
    conn.close()
    assert conn.closed
    assert not conn.broken
    with pytest.raises(psycopg.OperationalError, match="closed"):
        use(conn)
    conn.cancel()
    conn.cancel_safe()


def test_cursor_outlives_its_connection_only_for_fetching(auto: Any) -> None:
    cursor = auto.execute("SELECT 1")
    auto.close()
    assert cursor.fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="closed"):
        cursor.execute("SELECT 1")


@pytest.mark.parametrize(
    "use",
    [
        lambda cursor: cursor.execute("SELECT 1"),
        lambda cursor: cursor.execute("BEGIN"),
        lambda cursor: cursor.executemany("SELECT %s", [(1,)]),
        operator.methodcaller("fetchone"),
        operator.methodcaller("fetchall"),
        next,
        lambda cursor: next(cursor.stream("SELECT 1")),
        lambda cursor: cursor.copy("COPY pg_class TO STDOUT").__enter__(),
    ],
)
def test_closed_cursor_refuses_work(auto: Any, use: Any) -> None:
    with auto.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert not cursor.closed
    assert cursor.closed
    with pytest.raises(psycopg.InterfaceError, match="cursor is closed"):
        use(cursor)
    assert auto.execute("SELECT 2").fetchone() == (2,)


def test_cursor_knows_its_connection(auto: Any) -> None:
    cursor = auto.cursor()
    assert cursor.connection is auto
    cursor.execute("SELECT 1")
    assert cursor.connection is auto
    with pytest.raises(psycopg.Error):
        cursor.execute("SELECT nonsense")
    assert cursor.connection is auto


def test_forgotten_connection_warns_and_gives_back_what_it_held(
    side: Any, table: str
) -> None:
    with side.connect() as keeper:
        keeper.execute(f"CREATE TABLE {table} (n int)")
    conn = side.connect()
    conn.execute(f"INSERT INTO {table} VALUES (1)")
    held = [conn]
    del conn
    with pytest.warns(ResourceWarning, match="deleted while still open"):
        held.clear()
    gc.collect()
    with side.connect() as other:
        # It held a lock on the table's row, and a transaction; both are gone.
        assert other.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
        other.execute(f"DROP TABLE {table}")


def test_repr_names_the_state(conn: Any) -> None:
    assert "[IDLE]" in repr(conn) or "[idle]" in repr(conn)
    conn.close()
    assert "BAD" in repr(conn) or "closed" in repr(conn)
