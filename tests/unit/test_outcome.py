"""What an answer about an interrupted COMMIT means, and when it means nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from globaldb.core.outcome import Fate, Run, Told, Trace, judge
from globaldb.core.timelines import Fork

RUN = Run(timeline=3, started="100.5", recovered=0)
AGAIN = replace(RUN, started="200.5")
PROMOTED = Run(timeline=4, started="50.5", recovered=1000)
TRACE = Trace(xid=77, run=RUN, written=1000)
SEEN = Fork(lower=900, upper=1000)

STATUSES = {
    "committed": Fate.COMMITTED,
    "aborted": Fate.ROLLED_BACK,
    "in progress": Fate.RUNNING,
    None: Fate.UNKNOWN,
}
each_status = pytest.mark.parametrize(("status", "fate"), STATUSES.items())


def fate(
    run: Run,
    status: str | None,
    *,
    trace: Trace = TRACE,
    fork: Fork | None = None,
    same_node: bool = True,
) -> Fate:
    found = judge(trace, Told(run, status), fork, same_node=same_node)
    assert bool(found.why) == (found.fate in (Fate.UNKNOWN, Fate.RUNNING))
    return found.fate


@each_status
def test_the_same_run_of_the_same_server_is_believed(
    status: str | None, fate: Fate
) -> None:
    told = Told(RUN, status)
    blurred = TRACE.blurred()
    assert judge(TRACE, told, None, same_node=True).fate is fate
    assert judge(blurred, told, None, same_node=True).fate is fate


@each_status
@pytest.mark.parametrize("recovered", [0, 1000, 5000])
def test_a_server_that_came_back_with_its_log_is_believed(
    status: str | None, fate: Fate, recovered: int
) -> None:
    told = Told(replace(AGAIN, recovered=recovered), status)
    assert judge(TRACE, told, None, same_node=True).fate is fate


@pytest.mark.parametrize("status", STATUSES)
def test_what_a_crash_has_cut_off_the_log_was_not_committed(status: str | None) -> None:
    """Even where the id was given out again, and tells of another transaction."""
    crashed = replace(RUN, recovered=999)
    assert fate(crashed, status) is Fate.ROLLED_BACK
    assert fate(replace(AGAIN, recovered=999), status) is Fate.ROLLED_BACK


@each_status
@pytest.mark.parametrize(
    "fork", [SEEN, Fork(lower=900), Fork(lower=1000), Fork(lower=1000, upper=1000)]
)
def test_a_promoted_server_that_had_replayed_it_is_believed(
    status: str | None, fate: Fate, fork: Fork
) -> None:
    told = Told(PROMOTED, status)
    assert judge(TRACE, told, fork, same_node=False).fate is fate
    assert judge(TRACE, told, fork, same_node=True).fate is fate


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize(
    ("run", "fork"),
    [
        (replace(PROMOTED, recovered=999), Fork(lower=900, upper=999)),
        (replace(PROMOTED, recovered=999), Fork(lower=900)),
        # It was restarted, and does not know any more how far it had come.
        (replace(PROMOTED, recovered=0), Fork(lower=900, upper=2000)),
        # It has crashed since: where that recovery ended says nothing of the first.
        (replace(PROMOTED, recovered=5000), Fork(lower=900, upper=999)),
        # Nobody saw it as a reader of that timeline.
        (PROMOTED, Fork(upper=1000)),
        (PROMOTED, None),
        # Two were promoted to the same number, or it was made anew.
        (PROMOTED, Fork(lower=1500, upper=999)),
        # A timeline that nobody saw is in between, or it is an older one.
        (replace(PROMOTED, timeline=5), SEEN),
        (replace(PROMOTED, timeline=2), SEEN),
    ],
)
def test_a_promoted_server_that_may_lack_it_is_not(
    status: str | None, run: Run, fork: Fork | None
) -> None:
    assert fate(run, status, fork=fork, same_node=False) is Fate.UNKNOWN


@pytest.mark.parametrize("status", STATUSES)
def test_another_server_of_the_same_timeline_is_not_believed(
    status: str | None,
) -> None:
    assert fate(RUN, status, same_node=False) is Fate.UNKNOWN
    assert fate(AGAIN, status, same_node=False) is Fate.UNKNOWN


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("run", [AGAIN, PROMOTED])
def test_without_a_place_in_the_log_only_the_same_run_is(
    status: str | None, run: Run
) -> None:
    blurred = TRACE.blurred()
    assert fate(run, status, trace=blurred, fork=SEEN) is Fate.UNKNOWN


@pytest.mark.parametrize("status", STATUSES)
def test_a_server_that_does_not_tell_its_log_is_believed_in_the_same_run_alone(
    status: str | None,
) -> None:
    """As Aurora's does not."""
    silent = Run(0, "100.5", None)
    trace = Trace(77, silent, None)
    told = Told(silent, status)
    assert judge(trace, told, None, same_node=True).fate is STATUSES[status]
    after = replace(silent, started="200.5")
    assert fate(after, status, trace=trace) is Fate.UNKNOWN
    assert fate(silent, status, trace=trace, same_node=False) is Fate.UNKNOWN
