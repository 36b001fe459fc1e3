"""SQLAlchemy's own tests for dialects: ours do what its own do, though readers lag.

What depends on where a statement runs; ``make sqlalchemy`` runs all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from sqlalchemy_suite.differences import PAGE, documented, judge
from sqlalchemy_suite.lines import RELEASES
from sqlalchemy_suite.running import Task, followed, laggard, outcomes

#: Seconds between regions: of no account for what is right.
RTT = 0.001
TESTS = """
    AutocommitIsolationTest or IsolationLevelTest or ServerSideCursorsTest
    or (ReturningTest and not datatypes and not floats) or InsertBehaviorTest
    or LastrowidTest or RowCountTest or SimpleUpdateDeleteTest or ExceptionTest
    or SequenceTest or HasSequenceTest or IdentityColumnTest or PingTest
    or HasTableTest or HasIndexTest or TableDDLTest or TempTableElementsTest
    or (ComponentReflectionTestExtra and not check_constraint)
    or CompositeKeyReflectionTest or IdentityReflectionTest or ComputedReflectionTest
    or WeCanSetDefaultSchemaWEventsTest or SameNamedSchemaTableTest
"""
SELECTED = ["-k", " ".join(TESTS.split())]
PLANTED = ["-k", "HasTableTest", "-p", "sqlalchemy_suite.planted"]
ENGINES = ("postgresql", "mariadb")
#: Of the tests selected, so many pass at least.
ENOUGH = 100

pytestmark = pytest.mark.timeout(600)

Run = dict[str, str]
Results = dict[tuple[str, str], Future[Run]]


@pytest.fixture(scope="module")
def outcome(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str, str], Run]]:
    """Run them on both servers at the same time; wait for a line, or for the fault."""
    results: Results = {
        (server, what): Future() for server in ENGINES for what in (*RELEASES, "fault")
    }

    def run(server: str, folder: Path) -> None:
        with laggard(server, RTT) as lab:
            for line in RELEASES:
                found = outcomes(lab, Task(line, "ours", SELECTED), folder)
                results[server, line].set_result(found)
            # Longer than the tests take, also on a slow machine: they never wait for it,
            # and readers stay as the runs before have left them at their end.
            followed(lab)
            for region in lab.spec.regions:
                lab.lag(region, 3600)
            found = outcomes(lab, Task("2.1", "faulty", PLANTED), folder)
            results[server, "fault"].set_result(found)

    with ThreadPoolExecutor(len(ENGINES)) as pool:
        for server in ENGINES:
            running = pool.submit(run, server, tmp_path_factory.mktemp(server))
            running.add_done_callback(lambda done, s=server: _failed(done, s, results))
        yield lambda server, what: results[server, what].result()


def _failed(done: Future[None], server: str, results: Results) -> None:
    """Let those who wait for what did not come know why."""
    failure = done.exception()
    if failure is None:
        return
    for (of, _), result in results.items():
        if of == server and not result.done():
            result.set_exception(failure)


@pytest.mark.parametrize("server", ENGINES)
@pytest.mark.parametrize("line", RELEASES)
def test_our_dialect_does_what_sqlalchemys_own_does(
    outcome: Callable[[str, str], Run], server: str, line: str
) -> None:
    ours = outcome(server, line)
    # Those selected all pass with the stock dialects: there is nothing to compare.
    assert not judge(ours, {}, documented(PAGE.read_text(), server, line))
    assert list(ours.values()).count("passed") >= ENOUGH


@pytest.mark.parametrize("server", ENGINES)
def test_a_dialect_that_reads_where_it_is_too_early_is_caught(
    outcome: Callable[[str, str], Run], server: str
) -> None:
    faulty = outcome(server, "fault")
    # Which tests ask before the reader has it is a matter of luck.
    assert judge(faulty, {}, set()).worse
