"""What an answer about an interrupted COMMIT means, and when it means nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from globaldb.core.fence import Facts
from globaldb.core.outcome import NEVER_GIVEN, Fate, Run, Seen, Told, Trace, judge
from globaldb.core.timelines import Fork

RUN = Run(timeline=3, started="100", recovered=0)
AGAIN = replace(RUN, started="200")
PROMOTED = Run(timeline=4, started="50", recovered=1000)
TRACE = Trace(xid=77, run=RUN, written=1000)
ARRIVED = Fork(lower=1000, upper=1000)
HERE, ELSEWHERE = Seen(same_node=True), Seen(same_node=False)
FLUSHED = Seen(same_node=True, flushed=1000)

STATUSES = {
    "committed": Fate.COMMITTED,
    "aborted": Fate.ROLLED_BACK,
    "in progress": Fate.RUNNING,
    NEVER_GIVEN: Fate.UNKNOWN,
    None: Fate.UNKNOWN,
}
#: What a server tells that has gone down since: of an id that it may have given again.
LATER = {
    "committed": Fate.UNKNOWN,
    "aborted": Fate.ROLLED_BACK,
    "in progress": Fate.ROLLED_BACK,
    NEVER_GIVEN: Fate.ROLLED_BACK,
    None: Fate.UNKNOWN,
}
each_status = pytest.mark.parametrize("status", STATUSES)


def fate(run: Run, status: str | None, seen: Seen, *, trace: Trace = TRACE) -> Fate:
    found = judge(trace, Told(run, status), seen)
    assert bool(found.why) == (found.fate in (Fate.UNKNOWN, Fate.RUNNING))
    return found.fate


@each_status
def test_the_same_run_of_the_same_server_is_believed(status: str | None) -> None:
    assert fate(RUN, status, HERE) is STATUSES[status]
    assert fate(RUN, status, HERE, trace=TRACE.blurred()) is STATUSES[status]


@each_status
@pytest.mark.parametrize("recovered", [0, 1000, 5000])
@pytest.mark.parametrize("flushed", [None, 999])
def test_of_a_server_that_has_gone_down_only_a_no_is_believed(
    status: str | None, recovered: int, flushed: int | None
) -> None:
    """It may have lost the id, given it out again, and gone down once more."""
    run, seen = replace(AGAIN, recovered=recovered), replace(HERE, flushed=flushed)
    assert fate(run, status, seen) is LATER[status]
    blurred = TRACE.blurred()
    assert fate(run, status, FLUSHED, trace=blurred) is LATER[status]


@pytest.mark.parametrize("recovered", [0, 1000, 5000])
@pytest.mark.parametrize("flushed", [1000, 1001])
def test_a_yes_is_believed_of_what_was_seen_on_the_disk(
    recovered: int, flushed: int
) -> None:
    """An id that is in the log that survived is not given out again."""
    run, seen = replace(AGAIN, recovered=recovered), replace(HERE, flushed=flushed)
    assert fate(run, "committed", seen) is Fate.COMMITTED
    crashed = replace(RUN, recovered=recovered or 1)
    expected = Fate.COMMITTED if recovered else Fate.ROLLED_BACK
    assert fate(crashed, "committed", seen) is expected


@each_status
@pytest.mark.parametrize("seen", [HERE, FLUSHED])
def test_what_a_crash_has_cut_off_the_log_was_not_committed(
    status: str | None, seen: Seen
) -> None:
    """Even where the id was given out again, and tells of another transaction."""
    crashed = replace(RUN, recovered=999)
    assert fate(crashed, status, seen) is Fate.ROLLED_BACK
    assert fate(replace(AGAIN, recovered=999), status, seen) is Fate.ROLLED_BACK


@each_status
@pytest.mark.parametrize("fork", [ARRIVED, Fork(lower=1000), Fork(1000, 2000)])
@pytest.mark.parametrize("same_node", [True, False])
def test_a_promoted_server_that_had_replayed_it_is_believed(
    status: str | None, fork: Fork, *, same_node: bool
) -> None:
    """A yes, again, where the one before it had it on its disk: else it has crashed
    first, perhaps, and what was replayed was of its next run."""
    seen = Seen(same_node, fork=fork)
    assert fate(PROMOTED, status, seen) is LATER[status]
    sure = Fate.COMMITTED if status == "committed" else LATER[status]
    flushed = replace(seen, flushed=1000)
    assert fate(PROMOTED, status, flushed) is sure
    # Whatever has become of it since: what it had replayed was on its disk.
    assert fate(replace(PROMOTED, recovered=0), status, flushed) is sure
    assert fate(replace(PROMOTED, recovered=900), status, flushed) is sure


@each_status
@pytest.mark.parametrize(
    ("run", "fork"),
    [
        (PROMOTED, Fork(lower=900, upper=999)),
        # Where it was promoted nobody saw: what its last recovery has reached, or the
        # bound that it tells of itself, may be of a crash since.
        (PROMOTED, Fork(lower=900)),
        (replace(PROMOTED, recovered=5000), Fork(lower=900, upper=5000)),
        # Nobody saw it as a reader of that timeline.
        (PROMOTED, Fork(upper=1000)),
        (PROMOTED, None),
        # Two were promoted to the same number, or it was made anew.
        (PROMOTED, Fork(lower=1500, upper=999)),
        # A timeline that nobody saw is in between, or it is an older one.
        (replace(PROMOTED, timeline=5), ARRIVED),
        (replace(PROMOTED, timeline=2), ARRIVED),
    ],
)
def test_a_promoted_server_that_may_lack_it_is_not(
    status: str | None, run: Run, fork: Fork | None
) -> None:
    seen = Seen(same_node=False, flushed=1000, fork=fork)
    assert fate(run, status, seen) is Fate.UNKNOWN


@each_status
def test_another_server_of_the_same_timeline_is_not_believed(
    status: str | None,
) -> None:
    seen = replace(ELSEWHERE, unbroken=True, flushed=1000)
    assert fate(RUN, status, seen) is Fate.UNKNOWN
    assert fate(AGAIN, status, seen) is Fate.UNKNOWN


@each_status
def test_without_a_place_in_the_log_a_promoted_server_is_not_believed(
    status: str | None,
) -> None:
    seen = replace(FLUSHED, fork=ARRIVED)
    assert fate(PROMOTED, status, seen, trace=TRACE.blurred()) is Fate.UNKNOWN


@each_status
@pytest.mark.parametrize(
    ("before", "now"), [(None, None), (0, None), (None, 0)], ids=str
)
def test_where_crashes_are_not_told_a_yes_needs_a_connection_from_before(
    status: str | None, before: int | None, now: int | None
) -> None:
    """As on Aurora: its backends may have restarted, and the id be another one's."""
    trace = Trace(77, replace(RUN, recovered=before), 1000)
    run = replace(RUN, recovered=now)
    unsure = Fate.UNKNOWN if status == "committed" else STATUSES[status]
    assert fate(run, status, FLUSHED, trace=trace) is unsure
    unbroken = replace(HERE, unbroken=True)
    sure = STATUSES[status] if before == now else unsure
    assert fate(run, status, unbroken, trace=trace) is sure


@each_status
def test_a_server_that_does_not_tell_its_timeline_is_not_believed_after_a_restart(
    status: str | None,
) -> None:
    """It may have been another's reader meanwhile."""
    silent = Run(0, "100", None)
    trace = Trace(77, silent, None)
    assert (
        fate(silent, status, replace(HERE, unbroken=True), trace=trace)
        is (STATUSES[status])
    )
    assert fate(replace(silent, started="200"), status, FLUSHED, trace=trace) is (
        Fate.UNKNOWN
    )
    assert fate(silent, status, ELSEWHERE, trace=trace) is Fate.UNKNOWN


def test_each_run_is_remembered_by_the_furthest_it_has_flushed() -> None:
    facts = Facts()
    for run, place in ((RUN, 5), (RUN, 9), (RUN, 7), (AGAIN, 3)):
        facts.has_flushed(run, place)
    assert facts.flushed == {RUN: 9, AGAIN: 3}
