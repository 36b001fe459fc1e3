"""Transactions are known by how they begin."""

from __future__ import annotations

from globaldb.core.shapes import Shapes, Trail

REMEMBER = 600.0


def trail(*statements: str, wrote: bool, changed: bool = False) -> Trail:
    """A transaction that has ended."""
    made = Trail()
    for statement in statements:
        made.read(made.next(statement))
    made.wrote, made.upgraded, made.changed = wrote, wrote, changed
    return made


def leads(shapes: Shapes, *statements: str, now: float = 0.0) -> bool:
    """Whether the last of *statements* is sent to the writer."""
    begun = Trail()
    for statement in statements[:-1]:
        begun.read(begun.next(statement))
    return shapes.lead_to_write(begun.next(statements[-1]), now)


def test_a_beginning_that_led_to_a_write_goes_to_the_writer() -> None:
    shapes = Shapes()
    assert not leads(shapes, "a")
    shapes.ended(trail("a", wrote=True), 0.0)
    assert leads(shapes, "a")
    assert not leads(shapes, "b")


def test_one_that_mostly_reads_goes_back_to_the_readers() -> None:
    shapes = Shapes()
    shapes.ended(trail("a", wrote=True), 0.0)
    for _ in range(2):
        shapes.ended(trail("a", wrote=False), 0.0)
    assert not leads(shapes, "a")


def test_what_differs_later_is_told_apart() -> None:
    """Every request looks up its user first; only some of them write."""
    shapes = Shapes()
    for _ in range(10):
        shapes.ended(trail("user", "list", wrote=False), 0.0)
        shapes.ended(trail("user", "cart", wrote=True), 0.0)
        shapes.ended(trail("user", "list", wrote=False), 0.0)
    assert not leads(shapes, "user")
    assert not leads(shapes, "user", "list")
    assert leads(shapes, "user", "cart")


def test_only_the_order_makes_a_beginning() -> None:
    shapes = Shapes()
    shapes.ended(trail("a", "b", wrote=True), 0.0)
    assert leads(shapes, "a", "b")
    assert not leads(shapes, "b")
    assert not leads(shapes, "b", "a")


def test_a_difference_is_remembered_for_a_while() -> None:
    shapes = Shapes(remember=REMEMBER)
    shapes.ended(trail("a", "b", wrote=True, changed=True), 100.0)
    for _ in range(20):
        shapes.ended(trail("a", "b", wrote=False), 100.0)
    assert leads(shapes, "a", "b", now=100.0 + REMEMBER - 1)
    assert not leads(shapes, "a", now=100.0 + REMEMBER - 1)
    assert not leads(shapes, "a", "b", now=100.0 + REMEMBER + 1)


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
        shapes.ended(trail(f"s{number}", wrote=True), 0.0)
    assert len(shapes.known()) == 4096
    assert leads(shapes, "s4999")
    assert not leads(shapes, "s0")
