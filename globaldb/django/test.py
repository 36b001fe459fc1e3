"""For tests of applications: where statements ran."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from django.db import DEFAULT_DB_ALIAS, connections

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Reasons for reading at the writer that go by.
_BEHIND: Final = ("reader_behind", "position_unknown")
#: One that does where a node has been asked too early: it had no such database yet.
_NO_READER_NEARER: Final = "writer_is_nearest"
#: Seconds that readers have to catch up, and between two looks whether they have.
_PATIENCE: Final = 5.0
_AGAIN: Final = 0.02


class AssertRoutes:
    """Mixin for test cases: ``with self.assertRoutes(reader=2, writer=1): ...``.

    With pytest `assert_routes` does the same without a class. Test databases are read at the writer unless ``TEST["GLOBALDB_ROUTE"]`` is
    ``"auto"``.
    """

    @contextmanager
    def assertRoutes(  # noqa: N802 - as test cases name their methods
        self,
        *,
        reader: int | None = None,
        writer: int | None = None,
        using: str = DEFAULT_DB_ALIAS,
    ) -> Iterator[list[str]]:
        """Do what `assert_routes` does."""
        with assert_routes(reader=reader, writer=writer, using=using) as lines:
            yield lines


@contextmanager
def assert_routes(
    *,
    reader: int | None = None,
    writer: int | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> Iterator[list[str]]:
    """Assert how many statements in the block run at a reader, and at the writer.

    What is left out is not asserted. Yields the statements, each with its route.
    COMMIT, settings, and what the connection answers by itself do not count. Raises
    `AssertionError` with the statements.

    Outside of transactions the block begins when the readers have what was written, and
    the test database itself, after 5 seconds at most: it would else depend on how quick
    they are.
    """
    _catch_up(connections[using])
    with routes(using) as (counted, lines):
        yield lines
    for role, expected in (("reader", reader), ("writer", writer)):
        if expected is not None and counted[role] != expected:
            told = "\n".join(lines) or "(no statements)"
            raise AssertionError(
                f"{counted[role]} statements ran at the {role}, {expected} were "
                f"expected:\n{told}"
            )


def _catch_up(wrapper: Any) -> None:
    if wrapper.in_atomic_block:
        return
    wrapper.ensure_connection()
    asked_again, until = threading.Event(), monotonic() + _PATIENCE
    while monotonic() < until:
        with wrapper.connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        if not _goes_by(wrapper.connection):
            return
        asked_again.wait(_AGAIN)


def _goes_by(connection: Any) -> bool:
    """Whether the last read was at the writer for a reason that time removes."""
    reason, cluster = connection.last_route.reason, connection.session.cluster
    if reason == _NO_READER_NEARER:
        silent = [s.name for s in cluster.topology.nodes.values() if not s.reachable]
        for name in silent:
            cluster.monitor.hurry(name)
        return bool(silent)
    return reason in _BEHIND


@contextmanager
def routes(using: str = DEFAULT_DB_ALIAS) -> Iterator[tuple[Counter[str], list[str]]]:
    """Count the statements of the block by the role of their node, and list them."""
    counted: Counter[str] = Counter()
    lines: list[str] = []
    connection: Any = connections[using]

    def watch(execute: Any, sql: Any, *how: Any) -> Any:
        context = how[-1]
        session = context["connection"].connection.session
        # What is answered without a node leaves it as it is.
        session.route = None
        result = execute(sql, *how)
        route = session.route
        if route is not None and route.reason != "session_setting":
            counted[route.role.value] += 1
            lines.append(f"{route.role.value} ({route.reason}): {sql}")
        return result

    with connection.execute_wrapper(watch):
        yield counted, lines
