"""Settings are recorded and undone as PostgreSQL does, and replayed to the same."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from globaldb.core.settings import (
    LIBRARY,
    PREPARED,
    Settings,
    SettingsBook,
    after_rollback,
    replay,
)

NAMES = ("search_path", "timezone", "work_mem", "my.x")
USERS = ("role", "session_authorization")


class Postgres:
    """One server process: settings, prepared statements, libraries, who is the user."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.made_by: dict[str, str] = {}
        self.prepared: dict[str, str] = {}
        self.libraries: set[str] = set()
        self._undo: list[tuple[str, dict[str, str], dict[str, str]]] = []

    @property
    def user(self) -> str:
        return self.values.get("role") or self.values.get("session_authorization", "")

    def run(self, sql: str) -> None:
        if found := re.fullmatch(r"PREPARE (\w+) AS (.*)", sql):
            assert found[1] not in self.prepared, f"{found[1]} already exists"
            self.prepared[found[1]] = sql
        elif found := re.fullmatch(r'DEALLOCATE "(\w+)"', sql):
            del self.prepared[found[1]]
        elif found := re.fullmatch(r"LOAD '(\w+)'", sql):
            self.libraries.add(found[1])
        elif found := re.fullmatch(r"RESET (.*)", sql):
            self._set(found[1].lower().replace(" ", "_"), None)
        else:
            found = re.fullmatch(r"SET (.*) (?:TO )?(\w+)", sql)
            assert found is not None, sql
            self._set(found[1].lower().replace(" ", "_").removesuffix("_to"), sql)

    def _set(self, name: str, sql: str | None) -> None:
        if name not in USERS:
            # The strictest of privileges: what one user made only he may change.
            assert self.made_by.get(name, self.user) == self.user, f"not your {name}"
            self.made_by[name] = self.user
        if name == "session_authorization":
            self.values.pop("role", None)
        if sql is None:
            self.values.pop(name, None)
            self.made_by.pop(name, None)
        else:
            self.values[name] = sql

    def savepoint(self, name: str) -> None:
        self._undo.append((name, dict(self.values), dict(self.made_by)))

    def rollback_to(self, name: str) -> None:
        while self._undo[-1][0] != name:
            self._undo.pop()
        self.values, self.made_by = map(dict, self._undo[-1][1:])

    def release(self, name: str) -> None:
        while self._undo.pop()[0] != name:
            pass

    def commit(self) -> None:
        self._undo.clear()

    def reset_all(self) -> None:
        self.values = {k: v for k, v in self.values.items() if k in USERS}
        self.made_by.clear()

    def state(self) -> tuple[dict[str, str], dict[str, str]]:
        return self.values, self.prepared


def do(book: SettingsBook, server: Postgres, step: tuple[str, str, str]) -> None:
    """One statement of an application, on its server and in the session's book."""
    kind, name, value = step
    if kind == "set":
        sql = f"SET {name} TO {value}"
        book.record(name, sql)
    elif kind == "user":
        name = USERS["ab".index(name)]
        sql = f"SET {name.upper().replace('_', ' ')} {value}"
        book.record(name, sql)
    elif kind == "reset user":
        name = USERS["ab".index(name)]
        sql = f"RESET {name.upper().replace('_', ' ')}"
        book.forget(name)
    elif kind == "reset":
        sql = f"RESET {name}"
        book.forget(name)
    elif kind == "load":
        sql = f"LOAD '{name}'"
        book.record(LIBRARY + name, sql)
    elif book.prepared(name) is None:
        sql = f"PREPARE {name} AS SELECT {value}"
        book.record(PREPARED + name, sql)
    else:
        sql = f'DEALLOCATE "{name}"'
        book.forget_prepared(name)
    server.run(sql)


values = st.sampled_from(["one", "two", "three"])
plain = st.tuples(
    st.sampled_from(["set", "set", "reset"]), st.sampled_from(NAMES), values
)
others = st.tuples(st.sampled_from(["prepare", "load"]), st.sampled_from("ab"), values)
users = st.tuples(
    st.sampled_from(["user", "reset user"]), st.sampled_from("ab"), values
)


def history(steps: list[tuple[str, str, str]]) -> tuple[SettingsBook, Postgres]:
    """A session that did *steps* on a server, as far as that let it."""
    book, server = SettingsBook(), Postgres()
    for step in steps:
        before = book.current
        try:
            do(book, server, step)
        except AssertionError:
            book.current = before
    return book, server


@given(st.lists(plain | others), st.lists(plain | others))
def test_replaying_turns_what_one_session_left_into_what_another_wants(
    left: list[tuple[str, str, str]], wanted: list[tuple[str, str, str]]
) -> None:
    previous, server = history(left)
    session, own = history(wanted)
    for sql in replay(previous.current, session.current):
        server.run(sql)
    assert server.state() == own.state()
    assert server.libraries >= own.libraries


some = st.lists(plain | others, max_size=5)
# Login, settings as that user, another user, settings as him; the login comes first.
logins = st.sampled_from([(), ("a",), ("b",), ("b", "a")])


@st.composite
def careers(draw: st.DrawFn) -> list[tuple[str, str, str]]:
    steps = draw(some)
    for user in draw(logins):
        steps += [("user", user, draw(values)), *draw(some)]
    return steps


@given(careers(), careers())
def test_replaying_keeps_to_the_rights_of_who_made_each_setting(
    left: list[tuple[str, str, str]], wanted: list[tuple[str, str, str]]
) -> None:
    previous, server = history(left)
    session, own = history(wanted)
    for sql in replay(previous.current, session.current):
        server.run(sql)
    assert server.state() == own.state()
    assert server.user == own.user


@given(st.lists(plain | others | users))
def test_nothing_is_replayed_where_nothing_differs(
    steps: list[tuple[str, str, str]],
) -> None:
    book, _ = history(steps)
    assert replay(book.current, book.current) == ()
    again = (*book.current,)
    assert replay(book.current, again) == ()


def test_only_what_differs_is_replayed() -> None:
    applied: Settings = (
        ("timezone", "SET timezone TO utc"),
        ("work_mem", "SET w TO a"),
    )
    wanted: Settings = (*applied, ("my.x", "SET my.x TO one"))
    assert replay(applied, wanted) == ("SET my.x TO one",)
    assert replay(wanted, applied) == ("RESET my.x",)
    other = (("timezone", "SET timezone TO cet"), applied[1])
    assert replay(applied, other) == ("SET timezone TO cet",)


changes = st.one_of(
    plain,
    others,
    st.tuples(
        st.sampled_from(["savepoint", "savepoint", "back", "release"]),
        st.sampled_from("xy"),
        values,
    ),
)


def nest(
    book: SettingsBook, server: Postgres, live: list[str], step: tuple[str, str, str]
) -> None:
    """One step inside a transaction, where *live* savepoints are."""
    kind, name, _ = step
    if kind not in ("savepoint", "back", "release"):
        do(book, server, step)
    elif kind == "savepoint":
        live.append(name)
        book.savepoint(name)
        server.savepoint(name)
    elif name in live:
        while live[-1] != name:
            live.pop()
        if kind == "back":
            book.rollback_to(name)
            server.rollback_to(name)
        else:
            live.pop()
            book.release(name)
            server.release(name)


@given(st.lists(plain | others), st.lists(changes), st.booleans())
def test_a_transaction_leaves_in_the_book_what_it_leaves_on_the_server(
    before: list[tuple[str, str, str]],
    inside: list[tuple[str, str, str]],
    committed: bool,
) -> None:
    book, server = history(before)
    book.begin()
    server.savepoint("")
    live: list[str] = []
    for step in inside:
        nest(book, server, live, step)
    if not committed:
        server.rollback_to("")
    server.commit()
    book.end(committed=committed)
    found = Postgres()
    for _, sql in book.current:
        found.run(sql)
    assert found.state() == server.state()
    assert found.libraries == server.libraries


def test_ending_what_was_not_begun_changes_nothing() -> None:
    book = SettingsBook()
    book.record("work_mem", "SET work_mem TO one")
    book.end(committed=False)
    book.rollback_to("a")
    book.release("a")
    assert book.value_of("work_mem") == "SET work_mem TO one"


@given(st.lists(plain | others | users))
def test_reset_all_leaves_what_it_leaves_on_the_server(
    steps: list[tuple[str, str, str]],
) -> None:
    book, server = history(steps)
    book.forget(None)
    server.reset_all()
    found = Postgres()
    for _, sql in book.current:
        found.run(sql)
    assert found.state() == server.state()
    assert found.libraries == server.libraries


def test_deallocate_forgets_one_prepared_statement_or_all_and_no_setting() -> None:
    book = SettingsBook()
    for name in ("a", "ab", "b"):
        book.record(PREPARED + name, f"PREPARE {name} AS SELECT 1")
    book.record("a", "SET a TO one")
    book.forget_prepared("a")
    assert [name for name, _ in book.current] == ["prepared:ab", "prepared:b", "a"]
    book.forget_prepared(None)
    assert [name for name, _ in book.current] == ["a"]
    book.clear()
    assert book.current == ()


def test_the_last_setting_of_a_name_counts() -> None:
    book = SettingsBook()
    book.record("my.x", "SET my.x TO one")
    book.record("my.x", "SET my.x TO two")
    assert book.value_of("my.x") == "SET my.x TO two"
    assert book.value_of("my.y") is None
    assert len(book.current) == 1


@pytest.mark.parametrize(
    ("before", "attempted", "after"),
    [
        ((), (("a", "SET a TO 1"),), ()),
        ((("a", "SET a TO 1"),), (), (("a", "SET a TO 1"),)),
        ((), (("prepared:p", "PREPARE p"),), (("prepared:p", "PREPARE p"),)),
        ((("prepared:p", "PREPARE p"),), (), ()),
        ((), (("library:l", "LOAD l"),), (("library:l", "LOAD l"),)),
    ],
)
def test_a_rollback_undoes_a_set_but_no_prepare_no_deallocate_and_no_load(
    before: Settings, attempted: Settings, after: Settings
) -> None:
    assert after_rollback(before, attempted) == after
