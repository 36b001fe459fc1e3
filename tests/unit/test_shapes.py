"""Transactions are known by how they begin."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from globaldb.core.shapes import Shapes, Trail

REMEMBER = 600.0


def trail(*statements: str, wrote: bool, changed: bool = False) -> Trail:
    """A transaction that has ended."""
    made = Trail()
    for statement in statements:
        made.read(made.next(statement))
    made.wrote, made.upgraded, made.changed = wrote, wrote, changed
    return made


def at_writer(shapes: Shapes, *statements: str, now: float = 0.0) -> bool:
    """Whether the last of *statements* is sent to the writer."""
    begun = Trail()
    for statement in statements[:-1]:
        begun.read(begun.next(statement))
    return shapes.start_over(begun.next(statements[-1]), now)


def test_a_write_alone_changes_nothing_for_those_that_begin_alike() -> None:
    shapes = Shapes()
    for _ in range(20):
        shapes.ended(trail("a", wrote=True), 0.0)
    assert not at_writer(shapes, "a")


def test_one_that_had_to_start_over_goes_to_the_writer_at_once() -> None:
    shapes = Shapes()
    assert not at_writer(shapes, "a")
    shapes.ended(trail("a", "b", wrote=True, changed=True), 0.0)
    assert at_writer(shapes, "a")
    assert at_writer(shapes, "a", "b")
    assert not at_writer(shapes, "b")
    assert not at_writer(shapes, "b", "a")


def test_a_beginning_that_mostly_reads_stays_at_the_readers() -> None:
    """Every request looks up its user first; only some of them write."""
    shapes = Shapes()
    for _ in range(10):
        shapes.ended(trail("user", "list", wrote=False), 0.0)
        shapes.ended(trail("user", "cart", wrote=True, changed=True), 0.0)
        shapes.ended(trail("user", "list", wrote=False), 0.0)
    assert not at_writer(shapes, "user")
    assert not at_writer(shapes, "user", "list")
    assert at_writer(shapes, "user", "cart")


def test_one_that_goes_back_to_reading_goes_back_to_the_readers() -> None:
    shapes = Shapes()
    shapes.ended(trail("a", "b", wrote=True, changed=True), 0.0)
    for _ in range(2):
        shapes.ended(trail("a", "c", wrote=False), 0.0)
    assert not at_writer(shapes, "a")


def test_a_difference_is_remembered_for_a_while() -> None:
    shapes = Shapes(remember=REMEMBER)
    shapes.ended(trail("a", "b", wrote=True, changed=True), 100.0)
    for _ in range(20):
        shapes.ended(trail("a", "b", wrote=False), 100.0)
    assert at_writer(shapes, "a", "b", now=100.0 + REMEMBER - 1)
    assert not at_writer(shapes, "a", now=100.0 + REMEMBER - 1)
    assert not at_writer(shapes, "a", "b", now=100.0 + REMEMBER + 1)


def test_what_never_wrote_is_not_kept() -> None:
    shapes = Shapes()
    shapes.ended(trail("a", "b", wrote=False), 0.0)
    assert shapes.known() == ()


def test_what_comes_behind_the_write_is_no_beginning() -> None:
    written = Trail()
    written.wrote = True
    assert written.next("a") is None


def test_the_counters_tell_what_happened() -> None:
    shapes = Shapes()
    shapes.ended(trail("a", wrote=True), 0.0)
    shapes.ended(trail("a", wrote=True, changed=True), 0.0)
    shapes.ended(trail("a", wrote=False), 0.0)
    [shape] = shapes.known()
    assert (shape.statement, shape.depth) == ("a", 1)
    assert (shape.seen, shape.upgraded, shape.changed) == (3, 2, 1)


def test_memory_is_bounded() -> None:
    shapes = Shapes()
    for number in range(5000):
        shapes.ended(trail(f"s{number}", wrote=True, changed=True), 0.0)
    assert len(shapes.known()) == 4096
    assert at_writer(shapes, "s4999")
    assert not at_writer(shapes, "s0")


def test_threads_whose_transactions_end_at_once_are_in_nobody_s_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # There is always one to be forgotten.
    monkeypatch.setattr("globaldb.core.shapes._LIMIT", 16)
    shapes, interval = Shapes(), sys.getswitchinterval()

    def work(name: int) -> None:
        for number in range(20_000):
            shapes.ended(trail(f"{name} {number}", wrote=True), 0.0)

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            for done in [threads.submit(work, name) for name in range(4)]:
                done.result()
    finally:
        sys.setswitchinterval(interval)
    assert len(shapes.known()) <= 16 + 4
