"""Where labs live on disk, who owns one, and how the remains of one are removed.

Each lab has a folder below one private home. Its supervisor holds a lock on it for
life: a folder whose lock is free was left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import stat
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from globaldb.lab import shared_memory
from globaldb.lab.errors import LabError, LabSpecError
from globaldb.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Puts the home of all labs elsewhere.
VARIABLE: Final = "GLOBALDB_LAB_DIR"
#: What `lab up` starts and every other command means unless a name is given.
DEFAULT_NAME: Final = "lab"
CONTROL: Final = "control"
FACTS: Final = "lab.json"
#: What a region's clients have as /etc/resolv.conf; the region follows.
RESOLVER: Final = "resolv-"
_LOCK: Final = "lock"
#: What the processes of servers are called.
_SERVERS: Final = frozenset({"postgres", "mariadbd", "mysqld"})


def labs_home() -> Path:
    """Return the private folder of this user's labs, making it if need be.

    It is below the temporary folder, not the runtime one: that may be too small a
    memory disk for database files.
    """
    chosen = os.environ.get(VARIABLE)
    default = Path(tempfile.gettempdir()) / f"globaldb-lab-{os.geteuid()}"
    home = Path(chosen) if chosen else default
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = home.stat()
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o066:
        raise LabError(
            f"{home} is not private: it must be yours and closed to others; remove it "
            f"or set {VARIABLE}"
        )
    return home


def lab_folder(home: Path, name: str) -> Path:
    """Return the folder of the lab called *name*."""
    return home / name


def running_labs(home: Path) -> list[str]:
    """Return the names of the labs whose supervisor lives, in order."""
    return sorted(
        entry.name
        for entry in home.iterdir()
        if entry.is_dir() and not entry.name.startswith(".") and is_running(entry)
    )


def is_running(folder: Path) -> bool:
    """Whether a supervisor holds the lab in *folder*."""
    try:
        with (folder / _LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def claim_folder(home: Path, name: str, *, mode: int) -> tuple[Path, IO[bytes]]:
    """Make the folder of a new lab and hold it; remains of dead labs are removed.

    The lab is ours until the returned lock is closed.
    """
    folder = lab_folder(home, name)
    with _guarded(home):
        _sweep(home)
        if folder.exists():
            raise LabSpecError(
                f"a lab called {name!r} is running; end it with lab down, or use "
                "another name"
            )
        folder.mkdir(mode=mode)
        folder.chmod(mode)
        lock = (folder / _LOCK).open("wb")
        fcntl.flock(lock, fcntl.LOCK_EX)
    return folder, lock


def sweep(home: Path) -> list[str]:
    """Remove what dead labs left; return their names."""
    with _guarded(home):
        return _sweep(home)


def remove(folder: Path) -> None:
    """Delete the folder of a lab that ends, whose servers have ended.

    It seems dead as soon as its lock is deleted: nobody looks for dead ones meanwhile.
    """
    with _guarded(folder.parent):
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _guarded(home: Path) -> Iterator[None]:
    """Let one process at a time decide which folders are dead, or delete one."""
    with (home / f".{_LOCK}").open("wb") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


def _sweep(home: Path) -> list[str]:
    dead = [
        entry
        for entry in home.iterdir()
        if entry.is_dir() and not entry.name.startswith(".") and not is_running(entry)
    ]
    for folder in dead:
        end_processes_in(folder)
        shutil.rmtree(folder, ignore_errors=True)
    return sorted(folder.name for folder in dead)


def end_processes_in(folder: Path) -> None:
    """Kill the servers that still work in *folder*, and release their shared memory.

    They work in its data folders: *folder* is that of a node or of a lab.
    """
    prefix = f"{folder.resolve()}{os.sep}"

    def none_left() -> bool:
        left = [pid for pid, place in _working_folders() if place.startswith(prefix)]
        # At every look: a server may have forked another between look and kill.
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        return not left

    wait_until(
        none_left,
        limit=10,
        what=f"processes of the dead lab in {folder} do not end",
    )
    for data in (folder / "data", *folder.glob("*/data")):
        shared_memory.release(data)


def _working_folders() -> Iterator[tuple[int, str]]:
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "comm").read_text().strip() in _SERVERS:
                yield int(entry.name), str((entry / "cwd").readlink())


def remember(folder: Path, key: tuple[str, str], value: str) -> None:
    """Change one of the facts that the lab in *folder* has written down."""
    facts = json.loads((folder / FACTS).read_text())
    section, name = key
    facts[section][name] = value
    as_private_text(folder / FACTS, json.dumps(facts))


def as_private_text(path: Path, text: str) -> None:
    """Write *text* to *path* at one blow, readable by its owner alone."""
    draft = path.with_suffix(".draft")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)
