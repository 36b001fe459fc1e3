"""Find MariaDB's server: named, installed, or unpacked from Debian's package."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from globaldb.lab import child
from globaldb.lab.child import Identity
from globaldb.lab.debian import fetched
from globaldb.lab.errors import LabError

#: The path of a `mariadbd` that goes before all others.
VARIABLE: Final = "GLOBALDB_LAB_MARIADBD"
_PACKAGE: Final = "mariadb-server-core"
_SERVER: Final = "usr/sbin/mariadbd"
_OLDEST: Final = (10, 5)
#: What a new server reads, in this order. From 11 on they are called after MariaDB.
_SCRIPTS: Final = ("system_tables", "performance_tables", "system_tables_data")
_LAST_SCRIPT: Final = "maria_add_gis_sp_bootstrap.sql"


@dataclass(frozen=True, slots=True)
class MariadbBinaries:
    """One MariaDB: its server, the folder of its texts, and a new server's scripts.

    *libraries* is ``None`` where the system's loader finds them.
    """

    server: Path
    share: Path
    scripts: tuple[Path, ...]
    version: tuple[int, int, int]
    libraries: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What the server's environment must say."""
        if self.libraries is None:
            return {}
        return {"LD_LIBRARY_PATH": str(self.libraries)}


def find_mariadb() -> MariadbBinaries:
    """Return the first MariaDB there is; fetch Debian's package if there is none.

    `LabError` says what to do when that fails too.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen:
        if not Path(chosen).is_file():
            raise LabError(f"{VARIABLE} is {chosen!r}, which is no file")
        return _installed(Path(chosen))
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
    on_path = shutil.which("mariadbd", path=path)
    if on_path:
        return _installed(Path(on_path).resolve())
    try:
        root = fetched(_PACKAGE, needed=_SERVER)
    except LabError as failure:
        raise LabError(
            f"no MariaDB server found; install one, or name its 'mariadbd' in "
            f"{VARIABLE}. {failure}"
        ) from failure
    triplets = sorted((root / "usr/lib").glob("*-linux-*"))
    libraries = triplets[0] if triplets else None
    return _examined(root / _SERVER, libraries)


def _installed(server: Path) -> MariadbBinaries:
    return _examined(server, None)


def _examined(server: Path, libraries: Path | None) -> MariadbBinaries:
    prefix = server.parent.parent
    places = [prefix / "share/mysql", prefix / "share/mariadb", prefix / "share"]
    for share in places:
        for maker in ("mysql", "mariadb"):
            names = [f"{maker}_{script}.sql" for script in _SCRIPTS]
            scripts = tuple(share / name for name in (*names, _LAST_SCRIPT))
            if all(script.exists() for script in scripts):
                version = _version(server, libraries)
                return MariadbBinaries(server, share, scripts, version, libraries)
    raise LabError(
        f"{server} has no scripts for a new server, such as {_LAST_SCRIPT}, in "
        f"{', '.join(map(str, places))}"
    )


def _version(server: Path, libraries: Path | None) -> tuple[int, int, int]:
    loaded = [f"LD_LIBRARY_PATH={libraries}"] if libraries else []
    printed = child.run(
        ["env", *loaded, server, "--no-defaults", "--version"],
        identity=Identity.SELF,
        limit=10,
    )
    found = re.search(r"(\d+)\.(\d+)\.(\d+)-MariaDB", printed)
    if found is None:
        raise LabError(f"{server} is no MariaDB server: {printed.strip()}")
    major, minor, patch = (int(part) for part in found.groups())
    if (major, minor) < _OLDEST:
        raise LabError(f"{server} is MariaDB {major}.{minor}; the lab needs 10.5")
    return major, minor, patch
