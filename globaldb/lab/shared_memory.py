"""The shared memory that a killed PostgreSQL server leaves in the kernel.

A few bytes, by which a server knows that it is alone in its folder. They outlive it,
and when some thousand of them are there, no server starts on the machine any more.
"""

from __future__ import annotations

import contextlib
import ctypes
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_IPC_RMID: Final = 0
#: The line of postmaster.pid with the key and the id of the segment, from 0.
_LINE: Final = 6


def segment_of(data: Path) -> int | None:
    """Return the id of the segment of the server whose database files are in *data*."""
    with contextlib.suppress(FileNotFoundError, IndexError, ValueError):
        return int((data / "postmaster.pid").read_text().splitlines()[_LINE].split()[1])
    return None


def release(data: Path) -> None:
    """Give back what the dead server of *data* has left, if it left anything."""
    segment = segment_of(data)
    if segment is not None:
        # It may be gone: a server that ends in order takes it along.
        ctypes.CDLL(None).shmctl(segment, _IPC_RMID, None)
