"""Clients of a lab whatever its engine: one connection, and one that never rests."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any, Self

import psycopg
import pymysql

from globaldb.lab import Lab

DRIVERS: dict[str, Any] = {
    "postgresql": psycopg,
    "mysql": pymysql,
    "mariadb": pymysql,
}


def connect(lab: Lab, region: str, node: str, **options: Any) -> Any:
    """Connect to one node as its driver does, in autocommit."""
    driver = DRIVERS[lab.spec.engine]
    if driver is pymysql:
        options.setdefault("read_timeout", 30)
    where = lab.options(region, node, superuser=options.pop("superuser", False))
    return driver.connect(**where, autocommit=True, **options)


def run(connection: Any, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run *sql* and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return list(cursor.fetchall()) if cursor.description else []


def ask(lab: Lab, region: str, node: str, sql: str, *values: Any) -> list[Any]:
    """Run *sql* on a connection of its own and return its rows."""
    with contextlib.closing(connect(lab, region, node)) as connection:
        return run(connection, sql, *values)


def until(
    reached: Callable[[], bool], *, limit: float = 20.0, what: str = "it"
) -> None:
    """Wait until *reached*; fail after *limit* seconds."""
    rest = threading.Event()
    for _ in range(round(limit / 0.01)):
        if reached():
            return
        rest.wait(0.01)
    raise AssertionError(f"{what} did not happen within {limit} s")


class Load:
    """A client that inserts without pause and remembers what was acknowledged."""

    def __init__(self, lab: Lab, region: str) -> None:
        self._lab = lab
        self._region = region
        self._errors = DRIVERS[lab.spec.engine].Error
        self._stop = threading.Event()
        self._progress = threading.Condition()
        self._thread = threading.Thread(target=self._run)
        self._what = self._last = "not begun"
        self.acknowledged: list[int] = []

    def __enter__(self) -> Self:
        with contextlib.closing(self._writer()) as connection:
            run(connection, "DROP TABLE IF EXISTS load_rows")
            run(connection, "CREATE TABLE load_rows (n int primary key)")
        # Whoever becomes the writer is not to have the rows of a load before.
        until(self._empty_everywhere, what="an empty table everywhere")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def wait_for(self, more: int) -> None:
        """Wait for *more* acknowledged rows."""
        with self._progress:
            goal = len(self.acknowledged) + more
            assert self._progress.wait_for(
                lambda: len(self.acknowledged) >= goal, timeout=30
            ), f"{self._what}; {self._last}; alive: {self._thread.is_alive()}"

    def _empty_everywhere(self) -> bool:
        found = "SELECT n FROM load_rows LIMIT 1"
        try:
            return not any(
                ask(self._lab, self._region, node.name, found)
                for node in self._lab.nodes
            )
        except self._errors:
            # It is not there yet, or not there any more.
            return False

    def _writer(self) -> Any:
        refused = []
        for node in self._lab.nodes:
            self._what = f"connecting to {node.name}"
            try:
                connection = connect(self._lab, self._region, node.name)
                if not is_reader(self._lab, connection):
                    return connection
                connection.close()
            except self._errors as failure:
                refused.append(f"{node.name}: {failure}")
        raise self._errors(f"no writer: {refused}")

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            try:
                with contextlib.closing(self._writer()) as connection:
                    while not self._stop.is_set():
                        number += 1
                        self._what = f"inserting {number}"
                        run(connection, "INSERT INTO load_rows VALUES (%s)", number)
                        with self._progress:
                            self.acknowledged.append(number)
                            self._progress.notify_all()
            except self._errors as failure:
                self._what = f"{self._what}: {failure}"
                self._last = self._what
                self._stop.wait(0.01)


def is_reader(lab: Lab, connection: Any) -> bool:
    """Whether the node at the other end takes no writes."""
    postgresql = lab.spec.engine == "postgresql"
    query = "pg_is_in_recovery()" if postgresql else "@@global.read_only"
    [(found,)] = run(connection, f"SELECT {query}")
    return bool(found)
