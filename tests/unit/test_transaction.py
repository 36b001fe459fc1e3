"""What is sent late has the same effect as what is sent at once, for fewer trips."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, strategies as st

from globaldb.core.transaction import (
    TRANSITIONS,
    Transaction,
    TransactionEvent,
    TransactionMode,
    TransactionState,
)
from globaldb.errors import InterfaceError

S = TransactionState
BEGIN = TransactionMode()


@dataclass
class Server:
    """PostgreSQL, as far as transactions go. Every `trip` is one round trip."""

    trips: int = 0
    open: bool = False
    failed: bool = False
    work: list[str] = field(default_factory=list)
    savepoints: list[tuple[str, int]] = field(default_factory=list)
    committed: list[str] = field(default_factory=list)

    def trip(self, *statements: str) -> bool:
        """Run statements up to the first that fails; return whether none did."""
        self.trips += 1
        return all(self._run(*sql.rsplit(" ", 1)) for sql in statements)

    def _run(self, command: str, name: str = "") -> bool:
        if command == "BEGIN":
            assert not self.open, "a BEGIN inside a transaction"
            self.open, self.work, self.savepoints = True, [], []
        elif command in ("COMMIT", "ROLLBACK"):
            if command == "COMMIT" and not self.failed:
                self.committed += self.work
            self.open = self.failed = False
        elif command == "ROLLBACK TO":
            self._cut(name)
            del self.work[self.savepoints[-1][1] :]
            self.failed = False
        elif self.failed or command == "FAIL":
            self.failed = self.open
            return False
        elif command == "SAVEPOINT":
            assert self.open, "a SAVEPOINT outside of a transaction"
            self.savepoints.append((name, len(self.work)))
        elif command == "RELEASE":
            self._cut(name)
            self.savepoints.pop()
        else:
            (self.work if self.open else self.committed).append(name)
        return True

    def _cut(self, name: str) -> None:
        while self.savepoints[-1][0] != name:
            self.savepoints.pop()

    def state(self) -> object:
        names = [name for name, _ in self.savepoints] if self.open else []
        return self.open, self.failed, self.work if self.open else [], names


class Lazy:
    """A session that sends what its `Transaction` says, when it says so."""

    def __init__(self) -> None:
        self.server = Server()
        self.book = Transaction()

    def statement(self, sql: str) -> None:
        ok = self.server.trip(*self.book.pending, sql)
        if self.book.active and self.book.state is not S.FAILED:
            self.book.sent()
            if not ok:
                self.book.failed()

    def rollback_to(self, name: str) -> None:
        if self.book.rollback_to(name):
            self.server.trip(f"ROLLBACK TO {name}")
            self.book.rolled_back_to()

    def end(self, command: str) -> None:
        if self.book.state is not S.BEGUN:
            self.server.trip(command)
        self.book.end()


names = st.sampled_from("ab")
steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["begin", "save", "save", "release", "back", "do", "do", "fail", "end"]
        ),
        names,
        st.sampled_from(["COMMIT ", "ROLLBACK "]),
    ),
    max_size=40,
)


@given(steps)
def test_sending_late_ends_where_sending_at_once_does_and_is_never_slower(
    script: list[tuple[str, str, str]],
) -> None:
    eager, lazy = Server(), Lazy()
    for number, (step, name, ending) in enumerate(script):
        book = lazy.book
        live = book.has_savepoint(name)
        if step == "begin" and not book.active:
            eager.trip("BEGIN ")
            book.begin(BEGIN)
        elif step == "save" and book.active and not eager.failed:
            eager.trip(f"SAVEPOINT {name}")
            book.savepoint(name, f"SAVEPOINT {name}")
        elif step == "release" and live and not eager.failed:
            eager.trip(f"RELEASE {name}")
            book.release(name, f"RELEASE {name}")
        elif step == "back" and live:
            eager.trip(f"ROLLBACK TO {name}")
            lazy.rollback_to(name)
        elif step in ("do", "fail"):
            sql = f"{step.upper()} {number}"
            eager.trip(sql)
            lazy.statement(sql)
            assert lazy.server.state() == eager.state()
        elif step == "end" and book.active:
            eager.trip(ending)
            lazy.end(ending)
        assert (book.state is S.FAILED) == eager.failed
        assert lazy.server.committed == eager.committed
        assert lazy.server.trips <= eager.trips


def test_a_transaction_in_which_nothing_was_executed_is_never_sent() -> None:
    session = Lazy()
    session.book.begin(BEGIN)
    session.book.savepoint("a", "SAVEPOINT a")
    session.book.release("a", "RELEASE a")
    assert session.book.pending == ("BEGIN",)
    session.end("COMMIT ")
    assert session.server.trips == 0


def test_the_end_of_a_savepoint_ends_those_inside_it_that_were_never_sent() -> None:
    session = Lazy()
    session.book.begin(BEGIN)
    session.statement("DO 1")
    for name in "aba":
        session.book.savepoint(name, f"SAVEPOINT {name}")
        if name == "b":
            session.statement("DO 2")
    session.book.release("b", "RELEASE b")
    session.rollback_to("a")
    assert session.server.work == ["1"]


def test_a_lost_transaction_has_failed_and_its_savepoints_are_gone() -> None:
    for sent in (False, True):
        book = Transaction()
        book.begin(BEGIN)
        if sent:
            book.sent()
        book.savepoint("a", "SAVEPOINT a")
        book.lost()
        assert (book.state, book.pending) == (S.FAILED, ())
        assert not book.has_savepoint("a")
        book.lost()
        assert book.state is S.FAILED


def test_losing_a_connection_outside_of_a_transaction_is_nothing() -> None:
    book = Transaction()
    book.lost()
    assert book.state is S.IDLE


@pytest.mark.parametrize(
    ("mode", "sql"),
    [
        (TransactionMode(), "BEGIN"),
        (TransactionMode("serializable"), "BEGIN ISOLATION LEVEL SERIALIZABLE"),
        (TransactionMode(read_only=True), "BEGIN READ ONLY"),
        (TransactionMode(read_only=False), "BEGIN READ WRITE"),
        (TransactionMode(deferrable=True), "BEGIN DEFERRABLE"),
        (
            TransactionMode("repeatable read", False, False),
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE NOT DEFERRABLE",
        ),
    ],
)
def test_begin_asks_for_the_modes(mode: TransactionMode, sql: str) -> None:
    assert mode.sql == sql
    assert mode.serializable is (mode.isolation == "serializable")


def test_modes_are_changed_in_place_until_begin_is_sent() -> None:
    book = Transaction()
    book.begin(TransactionMode("serializable", deferrable=True))
    assert book.narrow(TransactionMode("repeatable read", read_only=True))
    assert book.mode == TransactionMode("repeatable read", True, True)
    assert book.pending == (book.mode.sql,)
    book.sent()
    assert not book.narrow(TransactionMode(read_only=False))


def test_modes_are_the_servers_to_refuse_behind_a_savepoint() -> None:
    book = Transaction()
    book.begin(BEGIN)
    book.savepoint("a", "SAVEPOINT a")
    assert not book.narrow(TransactionMode(read_only=True))


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (state, event)
        for state in TransactionState
        for event in TransactionEvent
        if event not in TRANSITIONS[state]
    ],
)
def test_an_impossible_event_is_refused_and_changes_nothing(
    state: TransactionState, event: TransactionEvent
) -> None:
    book = Transaction()
    book.state = state
    with pytest.raises(InterfaceError, match=f"transaction is {state.value}"):
        book._step(event)
    assert book.state is state
