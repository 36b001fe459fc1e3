"""Promises 1, 2 and 3, held by random programs of several sessions under faults.

GLOBALDB_EXAMPLES=3000 runs so many programs, of which each run draws other ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from histories.checker import check
from histories.known import KNOWN
from histories.program import Program, programs
from histories.stage import Stage
from hypothesis import HealthCheck, Phase, given, settings

from globaldb.core.session import SessionState
from globaldb.runtime.flow import read

#: How many programs a long run is to play; None in `make test`. Taken out of the
#: environment, where the product refuses names with its prefix that it does not know.
WISHED = os.environ.pop("GLOBALDB_EXAMPLES", None)
#: How many `make test` plays, always the same ones.
EXAMPLES = 100
#: Within how many programs a planted violation has to show.
BOUND = 300
#: How often a program is played again while a failing one is made smaller: what
#: fails by a race does not fail each time.
REPEATS = 3

#: Making a failing program smaller takes up to five minutes; a long run, what it takes.
pytestmark = [pytest.mark.lab, pytest.mark.timeout(0 if WISHED else 900)]


class BrokenPromiseError(AssertionError):
    """A history that breaks a promise, with the history."""


class Search:
    """Plays programs until one breaks a promise.

    Remembers those that did: a promise broken once is broken, however often the
    same program goes well afterwards.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._broken: dict[Program, str] = {}

    def examine(self, program: Program) -> None:
        """Raise `BrokenPromiseError` if *program* breaks a promise, now or before."""
        for _ in range(REPEATS if self._broken else 1):
            if program not in self._broken:
                self._play(program)
        if program in self._broken:
            raise BrokenPromiseError(self._broken[program])

    def _play(self, program: Program) -> None:
        history = self._stage.perform(program)
        violations = check(history)
        if violations:
            words = "\n".join(f"* {violation}" for violation in violations)
            self._broken[program] = f"\n{words}\n\n{history}\n"


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage.open() as stage:
        yield stage


def run(stage: Stage, examples: int, *, phases: tuple[Phase, ...], same: bool) -> None:
    """Play *examples* programs, the *same* ones each time or others."""
    search = Search(stage)

    @settings(
        max_examples=examples,
        phases=phases,
        derandomize=same,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(programs)
    def examine(program: Program) -> None:
        search.examine(program)

    examine()


def test_random_programs_break_no_promise(stage: Stage) -> None:
    phases = (Phase.generate, Phase.shrink)
    run(stage, int(WISHED or EXAMPLES), phases=phases, same=not WISHED)


@pytest.mark.parametrize("name", KNOWN)
def test_known_dangers_are_met(stage: Stage, name: str) -> None:
    search = Search(stage)
    for _ in range(REPEATS):
        search.examine(KNOWN[name])


def test_a_fence_that_is_not_waited_for_is_found(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "reached", lambda *_: True)
    with pytest.raises(BrokenPromiseError, match=r"session: (own write|monotonic)"):
        run(stage, BOUND, phases=(Phase.generate,), same=True)


def test_a_session_that_forgets_where_it_read_is_found(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SessionState, "read", lambda *_: None)
    with pytest.raises(BrokenPromiseError, match=r"monotonic reads|session: register"):
        run(stage, BOUND, phases=(Phase.generate,), same=True)
