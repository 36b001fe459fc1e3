"""What an idle connection weighs, in a process of its own.

``python benchmarks/memory.py raw|routed URL COUNT``, prints JSON.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

import globaldb

if TYPE_CHECKING:
    from collections.abc import Callable

#: Opened first, so that what is loaded once is not charged to the others.
_FIRST = 10


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _open(connect: Callable[[], Any], count: int, kept: list[Any]) -> None:
    for _ in range(count):
        connection = connect()
        connection.execute("SELECT 1").fetchall()
        kept.append(connection)
    gc.collect()


def weigh(connect: Callable[[], Any], count: int) -> dict[str, float]:
    """Return bytes a connection: of the process, and as Python's allocator counts."""
    kept: list[Any] = []
    _open(connect, _FIRST, kept)
    before = _resident()
    _open(connect, count, kept)
    resident = (_resident() - before) / count
    while kept:
        kept.pop().close()
    _open(connect, _FIRST, kept)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    _open(connect, count, kept)
    traced = (tracemalloc.get_traced_memory()[0] - before) / count
    tracemalloc.stop()
    while kept:
        kept.pop().close()
    return {"resident": resident, "traced": traced}


def main() -> int:
    which, url, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if which == "raw":
        weights = weigh(lambda: psycopg.connect(url, autocommit=True), count)
    else:
        with globaldb.Cluster(url, autocommit=True) as cluster:
            weights = weigh(cluster.connect, count)
    print(json.dumps(weights))
    return 0


if __name__ == "__main__":
    sys.exit(main())
