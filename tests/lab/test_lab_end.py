"""Nothing of a lab outlives it, whatever ended it."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab_fixtures import lend_templates

from globaldb.lab import Lab, LabNotRunningError, LabSpec
from globaldb.lab.shared_memory import segment_of
from globaldb.lab.state import labs_home, running_labs, sweep

OWNER = """
import sys
from globaldb.lab import Lab, LabSpec
with Lab.start(LabSpec(regions={"us-west-2": 0, "ap-south-1": 1})) as lab:
    print(lab.name, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home for labs that no other test looks into."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("labs")
        folder.chmod(0o700)
        lend_templates(folder)
        patch.setenv("GLOBALDB_LAB_DIR", str(folder))
        yield folder


@pytest.fixture
def owner(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A process with a lab of its own; it says the lab's name."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def processes_of(folder: Path) -> list[str]:
    """The command lines of whatever names *folder* or works in it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            place = str((entry / "cwd").readlink())
        except OSError:
            continue
        if str(folder) in words or place.startswith(str(folder)):
            found.append(words)
    return found


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def name_of(owner: subprocess.Popen[str]) -> str:
    assert owner.stdout is not None
    return owner.stdout.readline().strip()


def test_a_lab_ends_with_its_block(home: Path) -> None:
    with Lab.start(LabSpec(regions={"us-west-2": 0})) as lab:
        folder = home / lab.name
        assert processes_of(folder)
    assert not folder.exists()
    assert processes_of(folder) == []
    lab.down()
    with pytest.raises(LabNotRunningError):
        lab.status()


def test_a_lab_ends_with_a_process_that_is_killed(
    home: Path, owner: subprocess.Popen[str]
) -> None:
    folder = home / name_of(owner)
    assert processes_of(folder)
    owner.kill()
    wait_until(lambda: not folder.exists() and not processes_of(folder))


def test_a_killed_supervisor_takes_its_servers_with_it_and_the_next_lab_cleans_up(
    home: Path, owner: subprocess.Popen[str]
) -> None:
    folder = home / name_of(owner)
    os.kill(Lab.attach(folder.name).pid, signal.SIGKILL)
    wait_until(lambda: not processes_of(folder))
    assert folder.exists()
    assert running_labs(home) == []
    with Lab.start(LabSpec(regions={"us-west-2": 0})):
        assert not folder.exists()


@pytest.mark.parametrize("name", ["postgres", "mariadbd", "mysqld"])
def test_what_is_left_of_a_lab_is_swept_with_its_servers(home: Path, name: str) -> None:
    folder = home / "dead"
    data = folder / "node" / "data"
    data.mkdir(parents=True)
    # A server is known by its name and by where it works.
    program = folder / name
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o700)
    with subprocess.Popen([program, "60"], cwd=data) as server:
        # Between fork and exec it still bears the name of this process.
        named = Path(f"/proc/{server.pid}/comm")
        wait_until(lambda: named.read_text().strip() == name)
        assert sweep(home) == ["dead"]
        assert server.wait(5) == -signal.SIGKILL
    assert not folder.exists()
    assert sweep(home) == []


def test_a_lab_whose_supervisor_died_can_be_put_down(home: Path) -> None:
    with Lab.start(LabSpec(regions={"us-west-2": 0})) as lab:
        os.kill(lab.pid, signal.SIGKILL)
        lab.down()
        assert not (home / lab.name).exists()


def test_a_lab_that_is_told_to_terminate_cleans_up(home: Path) -> None:
    with Lab.start(LabSpec(regions={"us-west-2": 0})) as lab:
        os.kill(lab.pid, signal.SIGTERM)
        wait_until(lambda: not (home / lab.name).exists())


def test_a_lab_does_not_remove_its_folder_while_others_are_swept(home: Path) -> None:
    with Lab.start(LabSpec(regions={"us-west-2": 0})) as lab:
        folder, pid = home / lab.name, lab.status()["nodes"][0]["pid"]
        # As a sweep does, which may be looking into it.
        with (home / ".lock").open("wb") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            os.kill(lab.pid, signal.SIGTERM)
            wait_until(lambda: not Path(f"/proc/{pid}").exists())
            time.sleep(0.5)
            assert running_labs(home) == [lab.name]
        wait_until(lambda: not folder.exists())


def segments() -> set[int]:
    """The shared memory there is, of whatever processes."""
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return {int(line.split()[1]) for line in lines}


def test_no_shared_memory_outlives_a_server(home: Path) -> None:
    with Lab.start(LabSpec(regions={"us-west-2": 0})) as lab:
        data = home / lab.name / "us-west-2-1" / "data"
        used = {segment_of(data)}
        pid = lab.status()["nodes"][0]["pid"]
        assert "/dev/shm/PostgreSQL" not in Path(f"/proc/{pid}/maps").read_text()
        lab.kill("us-west-2-1")
        assert not used & segments()
        lab.start_node("us-west-2-1")
        used.add(segment_of(data))
        assert used & segments()
        os.kill(lab.pid, signal.SIGTERM)
        wait_until(lambda: not (home / lab.name).exists())
    assert len(used) == 2
    assert not used & segments()


def test_nonsense_on_the_control_socket_does_not_end_a_lab(home: Path) -> None:
    with Lab.start(LabSpec(regions={"us-west-2": 0})) as lab:
        for words in (b"", b"nonsense\n", b"{}\n", b'{"operation": "explode"}\n'):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(home / lab.name / "control"))
                sock.sendall(words)
        assert lab.status()["nodes"][0]["up"]


def test_a_living_lab_is_not_swept(home: Path) -> None:
    with Lab.start(LabSpec(regions={"us-west-2": 0}, name="alive")) as lab:
        assert sweep(home) == []
        assert running_labs(home) == ["alive"]
        assert Lab.attach("alive").status()["nodes"][0]["up"]
        assert lab.status()["nodes"][0]["up"]


def test_a_lab_that_cannot_start_leaves_nothing(home: Path) -> None:
    spec = LabSpec(regions={"us-west-2": 0}, settings={"no_such_setting": "1"})
    with pytest.raises(Exception, match="did not start"):
        Lab.start(spec)
    wait_until(lambda: not processes_of(home / "lab"))
    assert [entry for entry in home.iterdir() if not entry.name.startswith(".")] == []


def test_a_home_that_others_can_enter_is_refused(home: Path) -> None:
    home.chmod(0o777)
    with pytest.raises(Exception, match="is not private"):
        labs_home()
