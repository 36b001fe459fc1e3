"""How often a source of nodes is asked."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from globaldb.core.membership import Finding, Member
from globaldb.runtime.discovery.watch import Watch

FOUND = Finding("rds", (Member("a", "us", ("a.us", 1)),), complete=True, at=0.0)


class Source:
    """Fails as long as it has been told to."""

    name = "rds"
    pause = 30.0
    urgent = adds = True

    def __init__(self, answers: Iterator[Finding | None]) -> None:
        self._answers = answers

    def look(self, deadline: float) -> Finding | None:
        del deadline
        found = next(self._answers)
        if found is None:
            raise OSError("ThrottlingException")
        return found


def watch(*answers: Finding | None, told: list[str] | None = None) -> Watch:
    return Watch(
        Source(iter(answers)),
        take=lambda found: found.problems == (),
        failed=(told if told is not None else []).append,
        resting=lambda: False,
        patience=1.0,
        random=Random(),
    )


def test_what_fails_is_asked_ever_later_by_those_in_a_hurry_too():
    found = watch(*[None] * 12)
    pauses = []
    for _ in range(12):
        assert not found._look()
        pauses.append(found._pauses())
    assert pauses[:3] == [(0.5, 60.0), (1.0, 60.0), (2.0, 60.0)]
    assert pauses[-1] == (15.0, 60.0)


def test_what_tells_again_is_asked_as_before():
    told: list[str] = []
    found = watch(None, FOUND, told=told)
    before = found._pauses()
    assert not found._look()
    assert found._look()
    assert (found._pauses(), told) == (before, ["ThrottlingException"])
