"""SQLAlchemy's two major lines: the one that is installed, and one beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from corpus.sdists import cache_folder

#: The release that stands for a line where it is not the one installed.
RELEASES: Final = {"2.0": "2.0.58", "2.1": "2.1.9"}


def folder_of(line: str) -> Path | None:
    """Return what has the line on top of this environment; nothing if that has it.

    Installed now if it was not there; a machine without a network needs that folder.
    Raises `CalledProcessError` when pip cannot.
    """
    if version("sqlalchemy").startswith(f"{line}."):
        return None
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache_folder() / f"sqlalchemy-{RELEASES[line]}-python{python}"
    if not folder.exists():
        draft = Path(mkdtemp(dir=cache_folder()))
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps")
        release = f"sqlalchemy=={RELEASES[line]}"
        subprocess.run([*pip, "--target", str(draft), release], check=True)
        _put(draft, folder)
    return folder


def _put(draft: Path, folder: Path) -> None:
    try:
        draft.rename(folder)
    except OSError:
        # Another process has installed it meanwhile.
        if not folder.exists():
            raise


def environment(line: str) -> dict[str, str]:
    """Return the variables of a process that is to run on the line."""
    folder = folder_of(line)
    path = [*([str(folder)] if folder else []), str(Path(__file__).parents[1])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*path, *sys.path])}
