"""Find a server of MySQL's kind: named, installed, or unpacked from Debian's package."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from globaldb.lab import child
from globaldb.lab.child import Identity
from globaldb.lab.debian import fetched
from globaldb.lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: The path of a server that goes before all others.
VARIABLES: Final[Mapping[str, str]] = {
    "mariadb": "GLOBALDB_LAB_MARIADBD",
    "mysql": "GLOBALDB_LAB_MYSQLD",
}
_PROGRAMS: Final = {"mariadb": "mariadbd", "mysql": "mysqld"}
_PACKAGES: Final = {"mariadb": "mariadb-server-core", "mysql": "mysql-server-core"}
_NAMES: Final = {"mariadb": "MariaDB", "mysql": "MySQL"}
_OLDEST: Final = {"mariadb": (10, 5), "mysql": (8, 0)}
#: Debian's stable releases have MariaDB alone; MySQL is where they are made from.
_RELEASES: Final = {"mariadb": None, "mysql": "sid"}
_VERSION: Final = re.compile(r"\bVer (\d+)\.(\d+)\.(\d+)(\S*)")
#: What a new MariaDB reads, in this order. From 11 on they are called after it.
_SCRIPTS: Final = ("system_tables", "performance_tables", "system_tables_data")
_LAST_SCRIPT: Final = "maria_add_gis_sp_bootstrap.sql"


@dataclass(frozen=True, slots=True)
class MysqlBinaries:
    """One server program: how to run it, and the folder of its texts.

    *command* begins with the loader where the system's own does not do. *scripts* are
    what a new MariaDB reads; MySQL brings its own.
    """

    engine: str
    server: Path
    command: tuple[str, ...]
    share: Path
    version: tuple[int, int, int]
    scripts: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def find_mysql(engine: str) -> MysqlBinaries:
    """Return the first server of *engine* there is; fetch Debian's if there is none.

    *engine* is "mariadb" or "mysql". `LabError` says what to do when there is none.
    """
    variable, program = VARIABLES[engine], _PROGRAMS[engine]
    chosen = os.environ.get(variable)
    if chosen:
        if not Path(chosen).is_file():
            raise LabError(f"{variable} is {chosen!r}, which is no file")
        return _examined(engine, Path(chosen), None)
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
    on_path = shutil.which(program, path=path)
    # Where MariaDB is installed, `mysqld` may be another name of it.
    if on_path and _kind(_version_text((on_path,), {})) == engine:
        return _examined(engine, Path(on_path).resolve(), None)
    try:
        root = fetched(
            _PACKAGES[engine], needed=f"usr/sbin/{program}", release=_RELEASES[engine]
        )
    except LabError as failure:
        raise LabError(
            f"no {_NAMES[engine]} server found; install one, or name its {program!r} "
            f"in {variable}. {failure}"
        ) from failure
    return _examined(engine, root / "usr/sbin" / program, root)


def _examined(engine: str, server: Path, root: Path | None) -> MysqlBinaries:
    """Look at a server, which lies in the unpacked *root* or is installed."""
    command, environment = _LOADED[engine](server, root)
    printed = _version_text(command, environment)
    if _kind(printed) != engine:
        raise LabError(f"{server} is no {_NAMES[engine]} server: {printed.strip()}")
    version = _version(printed)
    if version[:2] < _OLDEST[engine]:
        wanted = ".".join(map(str, _OLDEST[engine]))
        found = ".".join(map(str, version))
        raise LabError(
            f"{server} is {_NAMES[engine]} {found}; the lab needs {wanted} or newer"
        )
    share, scripts = _texts(engine, server)
    return MysqlBinaries(engine, server, command, share, version, scripts, environment)


def _texts(engine: str, server: Path) -> tuple[Path, tuple[Path, ...]]:
    """Return the folder of the server's texts, and the scripts for a new server."""
    prefix = server.parent.parent
    places = [prefix / "share/mysql", prefix / "share/mariadb", prefix / "share"]
    if engine == "mysql":
        for share in places:
            if (share / "english/errmsg.sys").exists():
                return share, ()
        raise LabError(f"{server} has no english/errmsg.sys in {_listed(places)}")
    for share in places:
        for maker in ("mysql", "mariadb"):
            names = [f"{maker}_{script}.sql" for script in _SCRIPTS]
            scripts = tuple(share / name for name in (*names, _LAST_SCRIPT))
            if all(script.exists() for script in scripts):
                return share, scripts
    raise LabError(
        f"{server} has no scripts for a new server, such as {_LAST_SCRIPT}, in "
        f"{_listed(places)}"
    )


def _listed(places: list[Path]) -> str:
    return ", ".join(map(str, places))


def _libraries(root: Path) -> Path | None:
    return next(iter(sorted((root / "usr/lib").glob("*-linux-*"))), None)


def _with_libraries(
    server: Path, root: Path | None
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Use the system's loader and C library, and what was unpacked besides."""
    libraries = _libraries(root) if root else None
    loaded = {"LD_LIBRARY_PATH": str(libraries)} if libraries else {}
    return (str(server),), loaded


def _with_loader(
    server: Path, root: Path | None
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Use the C library that was unpacked too: the system's is older."""
    if root is None:
        return (str(server),), {}
    libraries = _libraries(root)
    loader = next(iter(sorted(root.glob("usr/lib*/ld-linux-*.so.*"))), None)
    if loader is None or libraries is None:
        raise LabError(f"{root} has no C library for {server}; remove it and try again")
    # The process is called after what is run, and the lab knows its servers by name.
    named = root / "loader" / server.name
    named.parent.mkdir(exist_ok=True)
    with contextlib.suppress(FileExistsError):
        named.symlink_to(os.path.relpath(loader, named.parent))
    return (str(named), "--library-path", str(libraries), str(server)), {}


_LOADED: Final[
    Mapping[
        str,
        Callable[[Path, Path | None], tuple[tuple[str, ...], dict[str, str]]],
    ]
] = {"mariadb": _with_libraries, "mysql": _with_loader}


def _version_text(command: tuple[str, ...], environment: Mapping[str, str]) -> str:
    loaded = [f"{name}={value}" for name, value in environment.items()]
    return child.run(
        ["env", *loaded, *command, "--no-defaults", "--version"],
        identity=Identity.SELF,
        limit=20,
    )


def _kind(printed: str) -> str | None:
    found = _VERSION.search(printed)
    if found is None:
        return None
    return "mariadb" if "MariaDB" in found.group(4) else "mysql"


def _version(printed: str) -> tuple[int, int, int]:
    found = _VERSION.search(printed)
    if found is None:
        raise LabError(f"no version in {printed.strip()!r}")
    return int(found.group(1)), int(found.group(2)), int(found.group(3))
