"""Django with its tests, from its source package; nothing of it is part of this project.

What is installed is left alone: the tests run with the Django they belong to.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path
from typing import Final

from corpus.sdists import Sdist, cache_folder, fetch

#: By the first two numbers of the version.
RELEASES: Final = {
    "5.2": Sdist(
        "django",
        "5.2.19",
        "ad03d8abc51dbff95ebf34b27123cf0c26a3b62db7ba0cd520783686362533d1",
    ),
    "6.0": Sdist(
        "django",
        "6.0.10",
        "6005d030df924f85088454c18bd35dcf082b058aa355ad3df520d8de9aef9f41",
    ),
    "6.1": Sdist(
        "django",
        "6.1.3",
        "b5d2d9e35295065d13b1927b3f19a59bd119f737aa6299def14ccca1ae3c8c0d",
    ),
}


def unpacked(line: str) -> Path:
    """Return the folder of the source of Django *line*, such as ``5.2``.

    Raises `corpus.sdists.CorpusError` when it cannot be had as it was pinned.
    """
    sdist = RELEASES[line]
    place = cache_folder() / f"{sdist.project}-{sdist.version}"
    if not place.exists():
        draft = place.with_suffix(f".{os.getpid()}.draft")
        with tarfile.open(fetch(sdist)) as package:
            package.extractall(draft, filter="data")
        try:
            (draft / place.name).rename(place)
        except OSError:
            # Another process was first.
            if not place.exists():
                raise
        finally:
            shutil.rmtree(draft)
    return place
