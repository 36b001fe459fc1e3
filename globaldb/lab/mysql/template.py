"""Make database files by copying a server's that was initialised once."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final

from globaldb.lab import child
from globaldb.lab.child import Identity
from globaldb.lab.cluster import DATABASE
from globaldb.lab.mysql.dialect import DIALECTS
from globaldb.lab.mysql.server import basics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from globaldb.lab.mysql.binaries import MysqlBinaries

_LIMIT: Final = 120.0
_VERSION: Final = "1"
#: The scripts let root in from every address, without a password.
_OWNERS: Final = """\
DELETE FROM mysql.global_priv WHERE Host <> 'localhost';
DELETE FROM mysql.proxies_priv;
"""
_CREATE: Final = f"CREATE DATABASE {DATABASE};\n"


def ensure_template(home: Path, binaries: MysqlBinaries) -> Path:
    """Return the folder of a new server's files, making it the first time.

    It has the database `DATABASE`, and root without a password at its socket only.
    Two labs may make it at once: the first to finish wins.
    """
    key = f"{_VERSION} {binaries} {_OWNERS} {_CREATE} {_sizes(binaries)}"
    stamp = binaries.server.stat().st_mtime_ns
    digest = hashlib.sha256(f"{key} {stamp}".encode()).hexdigest()[:12]
    template = home / f".template-{binaries.engine}-{digest}"
    if not template.exists():
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=home))
        try:
            if binaries.engine == "mariadb":
                _bootstrap(draft, binaries)
            else:
                _initialise(draft, binaries)
            draft.rename(template)
        except OSError:
            if not template.exists():
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return template / "data"


def copy_files(source: Path, folders: Sequence[Path]) -> None:
    """Copy the database files *source* to `data` in every one of *folders*, at once.

    Each server gets an identity of its own, or keeps the one it has.
    """
    for folder in folders:
        identity = folder / "auto.cnf"
        if not identity.exists():
            identity.write_text(f"[auto]\nserver-uuid={uuid.uuid4()}\n")
        shutil.rmtree(folder / "data", ignore_errors=True)
    copies = [
        child.start(["cp", "-a", "--reflink=auto", source, folder / "data"])
        for folder in folders
    ]
    for folder, copy in zip(folders, copies, strict=True):
        if copy.wait():
            raise OSError(f"copying {source} to {folder} failed")
        shutil.copy(folder / "auto.cnf", folder / "data" / "auto.cnf")


def _bootstrap(draft: Path, binaries: MysqlBinaries) -> None:
    """Make a MariaDB's files: it reads the scripts that come with it."""
    (draft / "data").mkdir()
    scripts = [script.read_text() for script in binaries.scripts]
    text = "\n".join(
        ["CREATE DATABASE mysql;", "USE mysql;", *scripts, _OWNERS, _CREATE]
    )
    _run(draft, binaries, "--bootstrap", text=text)


def _initialise(draft: Path, binaries: MysqlBinaries) -> None:
    """Make a MySQL's files: it brings its scripts itself."""
    (draft / "first.sql").write_text(_CREATE)
    first = f"--init-file={draft / 'first.sql'}"
    _run(draft, binaries, "--initialize-insecure", first)


def _run(draft: Path, binaries: MysqlBinaries, *arguments: str, text: str = "") -> None:
    values = {
        **basics(binaries, draft / "data"),
        **_sizes(binaries),
        "tmpdir": str(draft),
    }
    loaded = [f"{name}={value}" for name, value in binaries.environment.items()]
    child.run(
        [
            *("env", *loaded, *binaries.command, "--no-defaults"),
            *(f"--{name}={value}" for name, value in values.items()),
            *arguments,
        ],
        identity=Identity.SELF,
        text=text,
        limit=_LIMIT,
    )


def _sizes(binaries: MysqlBinaries) -> dict[str, str]:
    """Return the settings that decide how the files are laid out."""
    settings = DIALECTS[binaries.engine].settings
    return {k: v for k, v in settings.items() if k.startswith("innodb-")}
