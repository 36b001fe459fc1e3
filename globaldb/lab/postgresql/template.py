"""Make database files by copying a cluster that was initialised once."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from globaldb.lab import child
from globaldb.lab.child import NOBODY, Identity
from globaldb.lab.cluster import APP_ROLE, DATABASE, REPLICATION_ROLE
from globaldb.lab.postgresql.server import SUPERUSER

if TYPE_CHECKING:
    from globaldb.lab.postgresql.binaries import Binaries

#: The roles get their passwords when a lab starts: a template holds no secret.
#: With pg_read_all_stats a client sees at once which timeline a reader follows.
_CONTENT: Final = f"""\
CREATE ROLE {APP_ROLE} LOGIN CREATEDB
GRANT pg_read_all_stats TO {APP_ROLE}
CREATE ROLE {REPLICATION_ROLE} LOGIN REPLICATION
CREATE DATABASE {DATABASE} OWNER {APP_ROLE}
"""
_VERSION: Final = "1"


def ensure_template(home: Path, binaries: Binaries, identity: Identity) -> Path:
    """Return the folder of an initialised cluster, making it the first time.

    Two labs may do so at once: each works in a folder of its own, and the first to
    finish wins.
    """
    key = f"{_VERSION} {binaries.folder} {identity.value} {_CONTENT}"
    stamp = (binaries / "postgres").stat().st_mtime_ns
    digest = hashlib.sha256(f"{key} {stamp}".encode()).hexdigest()[:12]
    template = home / f".template-{binaries.major}-{digest}"
    if not template.exists():
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=home))
        if identity is Identity.NOBODY:
            shutil.chown(draft, NOBODY, NOBODY)
        try:
            _initialise(draft / "data", binaries, identity)
            draft.rename(template)
        except OSError:
            if not template.exists():
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return template / "data"


def copy_template(template: Path, folders: list[Path]) -> None:
    """Copy *template* to `data` in every one of *folders*, all at once."""
    copies = [
        child.start(["cp", "-a", "--reflink=auto", template, folder / "data"])
        for folder in folders
    ]
    for folder, copy in zip(folders, copies, strict=True):
        if copy.wait():
            raise OSError(f"copying {template} to {folder} failed")


def _initialise(data: Path, binaries: Binaries, identity: Identity) -> None:
    locale = ["--no-locale"]
    if binaries.major >= 17:
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    command: list[str | Path] = [
        binaries / "initdb",
        *("-D", data, "-U", SUPERUSER, "-E", "UTF8", "--auth=trust"),
        *("--no-sync", "--no-instructions", "--wal-segsize=1"),
        *locale,
    ]
    child.run(command, identity=identity, limit=120)
    single: list[str | Path] = [
        binaries / "postgres",
        "--single",
        "-F",
        "-D",
        data,
        SUPERUSER,
    ]
    child.run(single, identity=identity, text=_CONTENT, limit=60)
