"""PyMySQL's own tests, as Debian's stable release keeps them: PyPI's package has none.

Nothing of their text is part of this project. The package is fetched once, checked
against its digest and kept beside the corpora; a machine without a network needs the
file in `$GLOBALDB_CORPUS`.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from corpus.sdists import CorpusError, cache_folder

_PLACE: Final = "http://deb.debian.org/debian/pool/main/p/python-pymysql/"
_NAME: Final = "python-pymysql_1.1.1.orig.tar.xz"
_SHA256: Final = "a501d7580f3db3738272838d01d31701c14cd3f3db804f798f6f3324ef83821e"
_INSIDE: Final = "pymysql/tests/"
#: Seconds for the request.
_TIMEOUT: Final = 60.0


def unpack(folder: Path) -> Path:
    """Put the tests, and nothing else of the package, into *folder*; return *folder*.

    Raises `CorpusError` when the package cannot be had as it was pinned.
    """
    with tarfile.open(_fetched()) as package:
        for member in package.getmembers():
            _, _, inside = member.name.partition("/")
            if inside.startswith(_INSIDE):
                member.name = inside
                package.extract(member, folder, filter="data")
    return folder


def _fetched() -> Path:
    path = cache_folder() / _NAME
    if not path.exists():
        draft = path.with_suffix(f".{os.getpid()}.draft")
        try:
            with urlopen(_PLACE + _NAME, timeout=_TIMEOUT) as reply:
                draft.write_bytes(reply.read())
        except OSError as error:
            raise CorpusError(
                f"{_NAME} cannot be fetched from Debian ({error!r}); put it into "
                f"{cache_folder()}, or name a folder that has it in $GLOBALDB_CORPUS"
            ) from error
        draft.replace(path)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != _SHA256:
        raise CorpusError(
            f"{path} has the digest {found}, not {_SHA256}; remove it and try again"
        )
    return path
