"""Rows, cursor classes and adapters: the same objects come out as of psycopg."""

from __future__ import annotations

import datetime as dt
import enum
import json
import uuid
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from promises import within
from psycopg import rows
from psycopg.adapt import Dumper, Loader
from psycopg.types import TypeInfo
from psycopg.types.composite import CompositeInfo, register_composite
from psycopg.types.enum import EnumInfo, register_enum
from psycopg.types.json import Json, Jsonb, set_json_loads
from psycopg.types.range import Range, RangeInfo, register_range


@dataclass
class Person:
    name: str
    age: int


QUERY = "SELECT 'ada' AS name, 36 AS age"
Pair = namedtuple("Pair", "name age")  # noqa: PYI024 - compared with psycopg's


def test_route_is_where_the_fixture_says(auto: Any, request: Any) -> None:
    auto.execute("SELECT 1")
    auto.execute("SELECT 1")
    expected = {
        "psycopg": None,
        "globaldb": ("nearest_reader", "ap-south-1"),
        "globaldb-writer": ("route_option", "us-west-2"),
    }[request.node.callspec.params["auto"]]
    route = getattr(auto, "last_route", None)
    assert (route and (route.reason, route.region)) == expected


@pytest.mark.parametrize(
    ("factory", "expected"),
    [
        (rows.tuple_row, ("ada", 36)),
        (rows.dict_row, {"name": "ada", "age": 36}),
        (rows.namedtuple_row, Pair("ada", 36)),
        (rows.class_row(Person), Person("ada", 36)),
        (rows.kwargs_row(Person), Person("ada", 36)),
        (rows.args_row(Person), Person("ada", 36)),
        (rows.scalar_row, "ada"),
        (lambda cursor: lambda values: values[::-1], (36, "ada")),
    ],
)
def test_row_factories_make_the_rows(auto: Any, factory: Any, expected: Any) -> None:
    assert auto.cursor(row_factory=factory).execute(QUERY).fetchone() == expected
    auto.row_factory = factory
    assert auto.execute(QUERY).fetchall() == [expected]
    cursor = auto.cursor(row_factory=rows.tuple_row).execute(QUERY)
    cursor.row_factory = factory
    assert cursor.fetchone() == expected


def test_connect_takes_factories_and_context(side: Any) -> None:
    with side.connect(
        row_factory=rows.dict_row, cursor_factory=psycopg.ClientCursor
    ) as conn:
        assert conn.row_factory is rows.dict_row
        assert conn.cursor_factory is psycopg.ClientCursor
        cursor = conn.execute("SELECT 1 AS one")
        assert isinstance(cursor, psycopg.ClientCursor)
        assert cursor.fetchone() == {"one": 1}
    context = psycopg.adapt.AdaptersMap(psycopg.adapters)
    context.register_loader("int4", Shouting)
    with side.connect(context=Context(context)) as conn:
        assert conn.execute("SELECT 1::int4").fetchone() == ("1!",)


class Context:
    connection = None

    def __init__(self, adapters: Any) -> None:
        self.adapters = adapters


class Shouting(Loader):
    def load(self, data: Any) -> str:
        return bytes(data).decode() + "!"


def test_client_cursor_binds_on_the_client(auto: Any) -> None:
    auto.cursor_factory = psycopg.ClientCursor
    cursor = auto.cursor()
    assert cursor.mogrify("SELECT %s, %s", ("it's", 3)) == "SELECT 'it''s', 3"
    for _ in range(8):
        cursor.execute("SELECT %s, %s::int", ("it's", 3))
        assert cursor.fetchone() == ("it's", 3)
    with auto.transaction():
        cursor.execute("SELECT %s", (1,), prepare=True)
        query = "SELECT statement FROM pg_prepared_statements"
        assert ("SELECT 1",) not in auto.execute(query).fetchall()
    cursor.execute("SELECT %s; SELECT %s", (1, 2))
    assert cursor.nextset()
    assert cursor.fetchone() == (2,)
    cursor.format = psycopg.pq.Format.BINARY
    with within(10.0), pytest.raises(psycopg.NotSupportedError):
        cursor.execute("SELECT %s", (1,))


def test_client_cursor_writes_with_a_position(conn: Any, table: str) -> None:
    conn.autocommit = True
    conn.cursor_factory = psycopg.ClientCursor
    cursor = conn.cursor()
    cursor.execute(f"CREATE TABLE {table} (n int, t text)")
    cursor.execute(f"INSERT INTO {table} VALUES (%s, %s)", (1, "it's"))
    assert cursor.rowcount == 1
    assert cursor.execute(f"SELECT * FROM {table}").fetchall() == [(1, "it's")]


@pytest.mark.parametrize("kind", [psycopg.Cursor, psycopg.ClientCursor])
def test_cursors_may_be_made_by_their_class(auto: Any, kind: Any) -> None:
    cursor = kind(auto, row_factory=rows.dict_row)
    assert cursor.connection is auto
    cursor.execute("SELECT %s::int AS n", (1,))
    assert cursor.fetchall() == [{"n": 1}]
    with auto.transaction(), psycopg.ServerCursor(auto, "named") as named:
        named.execute("SELECT generate_series(1, 3)")
        assert named.fetchall() == [(1,), (2,), (3,)]


def test_raw_cursor_takes_numbered_parameters(auto: Any) -> None:
    auto.cursor_factory = psycopg.RawCursor
    cursor = auto.execute("SELECT $2::text, $1::int, 'a%b'", [1, "two"])
    assert cursor.fetchone() == ("two", 1, "a%b")


def test_users_cursor_classes_stay_on_top(auto: Any) -> None:
    class Counting(psycopg.Cursor[Any]):
        executed = 0

        def execute(self, *args: Any, **kwargs: Any) -> Any:
            self.executed += 1
            return super().execute(*args, **kwargs)

        def fetchone(self) -> Any:
            return ("mine", super().fetchone())

    auto.cursor_factory = Counting
    cursor = auto.cursor()
    assert isinstance(cursor, Counting)
    assert auto.cursor_factory is Counting
    cursor.execute("SELECT 1").execute("SELECT 2")
    assert cursor.executed == 2
    assert cursor.fetchone() == ("mine", (2,))


def test_binary_results_load_alike(auto: Any) -> None:
    when = dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)
    key = uuid.UUID(int=7)
    query = "SELECT 1::int8, 2.5::float8, %s, %s, '{1,2}'::int[]"
    expected = (1, 2.5, when, key, [1, 2])
    for cursor in (auto.cursor(binary=True), auto.cursor()):
        for binary in (None, True, False):
            cursor.execute(query, (when, key), binary=binary)
            assert cursor.fetchone() == expected
            if binary is not None:
                assert cursor.pgresult.fformat(0) == int(binary)
    assert auto.execute(query, (when, key), binary=True).fetchone() == expected
    cursor = auto.execute("SELECT %b::int, %t::int", (1, 2))
    assert cursor.fetchone() == (1, 2)


def test_adapters_of_the_connection_are_used_everywhere(auto: Any) -> None:
    class PersonDumper(Dumper):
        oid = psycopg.adapters.types["text"].oid

        def dump(self, obj: Person) -> bytes:
            return f"{obj.name}:{obj.age}".encode()

    auto.adapters.register_dumper(Person, PersonDumper)
    auto.adapters.register_loader("int4", Shouting)
    for _ in range(3):
        row = auto.execute("SELECT %s, 7::int4", (Person("ada", 36),)).fetchone()
        assert row == ("ada:36", "7!")
    cursor = auto.cursor()
    cursor.adapters.register_loader("text", Shouting)
    assert cursor.execute("SELECT 'x'::text").fetchone() == ("x!",)
    assert auto.execute("SELECT 'x'::text").fetchone() == ("x",)


def test_loaders_may_change_after_the_result_came(auto: Any) -> None:
    cursor = auto.execute("SELECT generate_series(1, 3)")
    assert cursor.fetchone() == (1,)
    cursor.adapters.register_loader("int4", Shouting)
    assert cursor.fetchall() == [("2!",), ("3!",)]


def test_json_travels_and_may_be_loaded_differently(auto: Any) -> None:
    value = {"a": [1, None, "ß"]}
    query = "SELECT %s, %s"
    assert auto.execute(query, (Json(value), Jsonb(value))).fetchone() == (value, value)
    set_json_loads(lambda text: ("loaded", json.loads(text)), auto)
    assert auto.execute("SELECT '1'::json").fetchone() == (("loaded", 1),)


def test_composites_enums_and_ranges_are_fetched_and_adapted(
    conn: Any, table: str
) -> None:
    conn.autocommit = True
    conn.execute(f"CREATE TYPE {table}_pair AS (n int, t text)")
    conn.execute(f"CREATE TYPE {table}_mood AS ENUM ('sad', 'ok')")
    conn.execute(f"CREATE TYPE {table}_range AS RANGE (subtype = text)")
    pair = CompositeInfo.fetch(conn, f"{table}_pair")
    assert pair.field_names == ("n", "t")
    register_composite(pair, conn)
    mood = EnumInfo.fetch(conn, f"{table}_mood")
    mood_enum = enum.Enum("Mood", {"sad": "sad", "ok": "ok"})
    register_enum(mood, conn, mood_enum)
    register_range(RangeInfo.fetch(conn, f"{table}_range"), conn)
    for where in ("SELECT", f"INSERT INTO {table} SELECT"):
        if where != "SELECT":
            conn.execute(
                f"CREATE TABLE {table} (p {table}_pair, m {table}_mood, "
                f"r {table}_range)"
            )
        returning = "" if where == "SELECT" else " RETURNING p, m, r"
        row = conn.execute(
            f"{where} %s::{table}_pair, %s::{table}_mood, %s::{table}_range{returning}",
            (pair.python_type(1, "x"), mood_enum.ok, Range("a", "c")),
        ).fetchone()
        assert row == (pair.python_type(1, "x"), mood_enum.ok, Range("a", "c"))
    assert conn.execute(f"SELECT p FROM {table}").fetchone() == ((1, "x"),)
    assert TypeInfo.fetch(conn, f"{table}_nonsense") is None


def test_types_are_fetched_inside_a_transaction_too(conn: Any, table: str) -> None:
    conn.execute(f"CREATE TYPE {table} AS (n int)")
    assert CompositeInfo.fetch(conn, table) is not None
    conn.rollback()
    assert CompositeInfo.fetch(conn, table) is None


def test_results_change_hands_only_with_their_cursor(auto: Any) -> None:
    first = auto.execute("SELECT generate_series(1, 3)")
    second = auto.execute("SELECT generate_series(11, 13)")
    assert [first.fetchone(), second.fetchone()] == [(1,), (11,)]
    assert first.fetchall() == [(2,), (3,)]
    assert second.fetchall() == [(12,), (13,)]
