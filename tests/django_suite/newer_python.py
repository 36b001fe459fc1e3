"""A Python that is new enough for Django 6, with globaldb and the newest Django in it.

``python -m django_suite.newer_python FOLDER`` prints its path. It is Debian's, unpacked
and not installed; FOLDER becomes its virtual environment.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from django_suite.unpacking import run, unpack

PYTHON: Final = "python3.13"
PROJECT: Final = Path(__file__).parents[2]
#: What the tests need besides globaldb; Django's own tests skip what is not there.
BESIDES: Final = ("--group", "test", "Django==6.1.*", "pip>=25.1")


def environment(folder: Path) -> Path:
    """Return the Python of a virtual environment in *folder*, made if it was missing."""
    python = folder / "bin/python"
    if not python.exists():
        [interpreter] = unpack(PYTHON, f"usr/bin/{PYTHON}")
        # Debian keeps ensurepip in another package; pip can work from outside.
        run(str(interpreter), "-m", "venv", "--without-pip", str(folder))
    pip = (sys.executable, "-m", "pip", "--python", str(python), "install", "-q")
    what = ("--disable-pip-version-check", "-e", ".[all]", *BESIDES)
    run(*pip, *what, folder=PROJECT)
    return python


if __name__ == "__main__":
    print(environment(Path(sys.argv[1]).absolute()))
