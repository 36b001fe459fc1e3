"""Labs for tests: one that they share, and fresh ones for those that break them."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from promises import FAR, admin, table

from globaldb.lab import Lab, LabError, LabSpec
from globaldb.lab.mysql.binaries import find_mysql
from globaldb.lab.state import labs_home
from globaldb.runtime.cluster import _clusters

FreshLab = Callable[[LabSpec], Lab]
ABSENT = pytest.StashKey[dict[str, str]]()
#: Started for the whole run, by what PostgreSQL's readers need to be told.
SETTINGS = {
    # What a server writes for itself is flushed, and so sent to its readers, at once:
    # else a session that read at the writer may have to wait 200 ms for its reader.
    "postgresql": {"wal_writer_delay": "10ms"},
    "mariadb": {},
    "mysql": {},
}


def lend_templates(home: Path) -> None:
    """Let labs below *home* begin as copies of what others have made: it takes long."""
    for template in labs_home().glob(".template-*"):
        (home / template.name).symlink_to(template)


@cache
def why_not_mysql() -> str:
    """Return why no MySQL can be had here; nothing if one can."""
    try:
        find_mysql("mysql")
    except LabError as failure:
        return str(failure)
    return ""


@cache
def why_not_netns() -> str:
    """Return why there can be no network namespaces here; nothing if there can."""
    probe = (
        "from globaldb.lab.space import *; become_root(); make_spaces([['10.0.0.1']])"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=False
    )
    return done.stderr.strip().rpartition("\n")[2]


#: What may not be had everywhere, and who knows why.
SCARCE = {"MYSQL": why_not_mysql, "NETWORK NAMESPACES": why_not_netns}


def absent() -> dict[str, str]:
    """What this process has looked for and not found, and why."""
    asked = {name: why for name, why in SCARCE.items() if why.cache_info().currsize}
    return {name: why() for name, why in asked.items() if why()}


def engines() -> list[str]:
    """Return the engines of this run: MySQL is not everywhere to be had."""
    return [name for name in SETTINGS if name != "mysql" or not why_not_mysql()]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each engine if it, or a fixture of its, wants one."""
    marks = list(metafunc.definition.iter_markers("parametrize"))
    for name in ("engine", "mysql_engine"):
        if name in metafunc.fixturenames and not any(name in m.args[0] for m in marks):
            wanted = [e for e in engines() if name == "engine" or e != "postgresql"]
            metafunc.parametrize(name, wanted, indirect=True, scope="session")


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out what needs network namespaces where there are none, and say so."""
    wanting = [i for i in items if "netns" in getattr(i, "fixturenames", ())]
    if wanting and why_not_netns():
        config.hook.pytest_deselected(items=wanting)
        items[:] = [item for item in items if item not in wanting]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Have the process that prints the summary know what this one has found."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["absent"] = absent()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Keep what a process that ran tests has found."""
    found = getattr(node, "workeroutput", {}).get("absent", {})
    node.config.stash.setdefault(ABSENT, {}).update(found)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what tests ran without."""
    found = {**terminalreporter.config.stash.get(ABSENT, {}), **absent()}
    for what, why in found.items():
        terminalreporter.section(f"NO {what}", sep="!", red=True, bold=True)
        terminalreporter.line(
            f"THIS RUN WENT WITHOUT {what}: NOTHING HERE SHOWS THAT IT WORKS."
        )
        terminalreporter.line(why)


@pytest.fixture(scope="session")
def netns() -> None:
    """What a test wants that needs network namespaces; it runs where there are some."""


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn: postgresql, mariadb, and mysql where it can be had."""
    return str(request.param)


@pytest.fixture(scope="session")
def mysql_engine(request: pytest.FixtureRequest) -> str:
    """Each engine of MySQL's kind in turn: mariadb, and mysql where it can be had."""
    return str(request.param)


@pytest.fixture(scope="session")
def shared_labs() -> Iterator[Callable[[str], Lab]]:
    """The labs of the whole run by engine, as the last test left them."""
    with contextlib.ExitStack() as stack:

        @cache
        def lab_of(engine: str) -> Lab:
            spec = LabSpec(engine=engine, settings=SETTINGS[engine])
            return stack.enter_context(Lab.start(spec))

        yield lab_of


@pytest.fixture(scope="session")
def shared_lab(shared_labs: Callable[[str], Lab]) -> Lab:
    """PostgreSQL's lab of the whole run, as the last test left it; use `lab`."""
    return shared_labs("postgresql")


@pytest.fixture
def lab(shared_lab: Lab) -> Lab:
    """A lab with the default regions, healed, at rest, with its counters at nothing.

    Other tests use it too: leave its writer where it is.
    """
    return _at_rest(shared_lab)


@pytest.fixture
def engine_lab(shared_labs: Callable[[str], Lab], engine: str) -> Lab:
    """What `lab` is, of each engine in turn."""
    return _at_rest(shared_labs(engine))


@pytest.fixture
def mysql_lab(shared_labs: Callable[[str], Lab], mysql_engine: str) -> Lab:
    """What `lab` is, of each engine of MySQL's kind in turn."""
    return _at_rest(shared_labs(mysql_engine))


def _at_rest(lab: Lab) -> Lab:
    lab.restore()
    lab.reset_counters()
    return lab


@pytest.fixture(scope="module")
def far_behind(shared_lab: Lab) -> Iterator[Lab]:
    """A lab whose readers far away have an empty table r_t, and stay as they are.

    The regions are closer to each other than they are, to be done sooner, and still so
    far apart that on a busy machine nobody takes a node there for one that is near.
    """
    shared_lab.restore()
    table(shared_lab, "r_t")
    for region in shared_lab.spec.regions:
        shared_lab.latency(FAR, region, 0.0 if region == FAR else 0.1)
    shared_lab.lag(FAR, 600.0)
    yield shared_lab
    shared_lab.restore()


@pytest.fixture
def empty(far_behind: Lab) -> Lab:
    """The same, and the table is empty at the writer, too."""
    with admin(far_behind) as writer:
        writer.execute("DELETE FROM r_t")
    return far_behind


def _fresh_labs() -> Iterator[FreshLab]:
    """Start labs that nobody else uses; they end with the fixture."""
    with contextlib.ExitStack() as stack:
        yield lambda spec: stack.enter_context(Lab.start(spec))


#: Starts labs that one test, or the tests of one module, may break as they like.
fresh_lab = pytest.fixture(_fresh_labs)
module_lab = pytest.fixture(scope="module")(_fresh_labs)


@pytest.fixture(scope="module", autouse=True)
def no_cluster_left_behind() -> Iterator[None]:
    """Close the clusters a module leaves open: their probes are trips others count."""
    yield
    for cluster in list(_clusters):
        cluster.close()
