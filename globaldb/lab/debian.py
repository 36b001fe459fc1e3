"""Unpack Debian's packages into a private folder, installing nothing.

apt does the work as it is set up on the machine (its sources, keys, proxies), with
folders of ours for everything it writes: neither the system nor its lists change, and
no rights are needed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from globaldb.lab import child
from globaldb.lab.child import Identity
from globaldb.lab.errors import LabError
from globaldb.lab.state import labs_home
from globaldb.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Puts the folder of what was fetched elsewhere.
VARIABLE: Final = "GLOBALDB_LAB_CACHE"
#: Where another release than this system's comes from.
_ARCHIVE: Final = "http://deb.debian.org/debian"
_KEYS: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
_UPDATE_LIMIT: Final = 180.0
_DOWNLOAD_LIMIT: Final = 300.0
_UNPACK_LIMIT: Final = 60.0
#: Another process that fetches the same is waited for this long, in seconds.
_TURN_LIMIT: Final = 600.0


def fetched(
    package: str, *, needed: str, libraries: bool = True, release: str | None = None
) -> Path:
    """Return a folder with *package* unpacked in it, fetching it the first time.

    With *libraries*, what it depends on and this system does not have is there too.
    It is this system's release of Debian unless another *release* is named: then
    everything it depends on is there, the C library too. The file *needed*, relative
    to the folder, must come with it. `LabError` says what to do when it cannot be had.
    """
    place = cache_home() / f"{package}-{release or _release()}"
    if place.exists():
        return place
    with _turn(place):
        if not place.exists():
            draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=place.parent))
            try:
                _fetch(draft, package, libraries=libraries, release=release)
                if not (draft / "root" / needed).exists():
                    raise LabError(f"the package {package} has no {needed}")
                (draft / "root").rename(place)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    return place


def cache_home() -> Path:
    """Return this user's folder of fetched packages, making it if need be."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        home = Path(chosen)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        return home
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    try:
        home = base / "globaldb"
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        # A user without a home has a temporary folder at least.
        home = labs_home() / ".packages"
        home.mkdir(mode=0o700, exist_ok=True)
    return home


def _release() -> str:
    """Return the release of this Debian, or of what was derived from it."""
    _require_tools()
    release = platform.freedesktop_os_release()
    return release.get("VERSION_CODENAME", release["ID"])


def _require_tools() -> None:
    missing = [tool for tool in ("apt-get", "dpkg") if shutil.which(tool) is None]
    if missing:
        raise LabError(
            f"nothing can be fetched here: no {' and no '.join(missing)}, so this is "
            "no Debian; install the server and name it in the environment"
        )


@contextlib.contextmanager
def _turn(place: Path) -> Iterator[None]:
    """Let one process at a time fetch what goes to *place*."""

    def free() -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    with (place.parent / f".{place.name}.lock").open("wb") as lock:
        wait_until(free, limit=_TURN_LIMIT, what=f"another process fetches {place}")
        yield


def _fetch(draft: Path, package: str, *, libraries: bool, release: str | None) -> None:
    """Download into *draft* and unpack into its folder `root`."""
    _require_tools()
    archives = draft / "archives"
    for folder in ("state/lists/partial", "cache", "archives/partial", "root"):
        (draft / folder).mkdir(parents=True)
    apt = ["apt-get", "-qq", "-y", *_private(draft, release)]
    wanted = ["--no-install-recommends", "--download-only", "install", package]
    if not libraries:
        wanted = ["download", package]
    try:
        _run([*apt, "update"], limit=_UPDATE_LIMIT, folder=archives)
        _run([*apt, *wanted], limit=_DOWNLOAD_LIMIT, folder=archives)
    except LabError as failure:
        raise LabError(
            f"the package {package} cannot be fetched; is there a network, and does "
            f"'apt-get update' work? {failure}"
        ) from failure
    for archive in sorted(archives.glob("*.deb")):
        _run(["dpkg", "-x", archive, draft / "root"], limit=_UNPACK_LIMIT, folder=draft)


def _private(draft: Path, release: str | None) -> Iterator[str]:
    settings: dict[str, str | Path] = {
        "Dir::State": draft / "state",
        # What the system has is not fetched again.
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": draft / "cache",
        "Dir::Cache::archives": draft / "archives",
        # Root's apt downloads as a user that cannot enter this folder.
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "1",
        "Acquire::Retries": "3",
    }
    if release is not None:
        (draft / "status").touch()
        (draft / "sources.list").write_text(
            f"deb [signed-by={_KEYS}] {_ARCHIVE} {release} main\n"
        )
        settings |= {
            "Dir::Etc::SourceList": draft / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::PreferencesParts": "/dev/null",
            # Nothing of another release is of use to what comes from this one.
            "Dir::State::status": draft / "status",
            "Acquire::Languages": "none",
        }
    for name, value in settings.items():
        yield from ("-o", f"{name}={value}")


def _run(command: Sequence[str | Path], *, limit: float, folder: Path) -> None:
    # `apt-get download` writes to the current folder, whatever its settings say.
    child.run(
        ["env", "-C", folder, "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", *command],
        identity=Identity.SELF,
        limit=limit,
    )
