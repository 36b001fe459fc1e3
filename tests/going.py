"""What an application does while the world changes, and what it was told of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self

from promises import Outcome, outcome_of, until

import globaldb

#: Seconds in which a failover is over for an application, on a machine that is busy.
SOON = 15.0


class Going:
    """Does something again and again in a thread of its own until the block ends."""

    def __init__(self, act: Callable[[int], object], first: int = 0) -> None:
        self.reported: dict[int, Outcome] = {}
        self.errors: list[BaseException] = []
        self._act = act
        self._key = first
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._over.is_set():
            self.reported[self._key] = outcome_of(self._once)
            self._key += 1
            self._over.wait(0.005)

    def _once(self) -> None:
        try:
            self._act(self._key)
        except globaldb.Error as error:
            self.errors.append(error)
            raise

    def applied(self) -> int:
        return list(self.reported.values()).count(Outcome.APPLIED)

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: len(self.reported) > 3)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def await_progress(writers: list[Going]) -> None:
    """Wait until each of them has written several rows more."""
    begun = [writer.applied() for writer in writers]
    until(
        lambda: all(
            writer.applied() >= before + 5
            for writer, before in zip(writers, begun, strict=True)
        ),
        SOON,
    )


def only_precise(writers: list[Going], *allowed: type[globaldb.Error]) -> None:
    """Check that each was told of each kind once at most, and of no other kind."""
    for writer in writers:
        kinds = [type(error) for error in writer.errors]
        assert len(set(kinds)) == len(kinds), writer.errors
        for error in writer.errors:
            assert isinstance(error, allowed), error


def reported(writers: list[Going]) -> dict[int, Outcome]:
    return {key: told for each in writers for key, told in each.reported.items()}
