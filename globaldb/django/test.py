"""For tests of applications: where statements ran."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.db import DEFAULT_DB_ALIAS, connections

if TYPE_CHECKING:
    from collections.abc import Iterator


class AssertRoutes:
    """Mixin for test cases: ``with self.assertRoutes(reader=2, writer=1): ...``.

    Test databases are read at the writer unless ``TEST["GLOBALDB_ROUTE"]`` is
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
        """Assert how many statements in the block run at a reader, and at the writer.

        What is left out is not asserted. Yields the statements, each with its route.
        COMMIT, settings, and what the connection answers by itself do not count.
        """
        with routes(using) as (counted, lines):
            yield lines
        for role, expected in (("reader", reader), ("writer", writer)):
            if expected is not None and counted[role] != expected:
                told = "\n".join(lines) or "(no statements)"
                raise AssertionError(
                    f"{counted[role]} statements ran at the {role}, {expected} were "
                    f"expected:\n{told}"
                )


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
