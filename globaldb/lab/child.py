"""Start child processes that die with us, and that PostgreSQL agrees to run as.

It refuses to run as root, and as a user without a name. There a child maps itself to
`nobody` in a user namespace of its own: nothing is chown-ed, and binaries below a
private home stay reachable. Where namespaces are forbidden (some containers), root's
child becomes `nobody` in earnest.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from globaldb.lab.errors import LabError, LabSpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from globaldb.lab.space import Space

#: Decides as whom servers run, where finding it out goes wrong.
VARIABLE: Final = "GLOBALDB_LAB_RUN_AS"
NOBODY: Final = 65534
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_TIMERSLACK: Final = 29
_CLONE_NEWUSER: Final = 0x10000000


class Identity(Enum):
    """As whom servers run."""

    SELF = "self"
    MAPPED = "mapped"
    NOBODY = "nobody"


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def sharpen_timers() -> None:
    """Let this process's timers fire when they are due, not up to 50 us later."""
    if sys.platform == "linux":
        _libc().prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)


def choose_identity() -> Identity:
    """Find out as whom a server can run here, or take what `VARIABLE` says."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        if chosen not in {identity.value for identity in Identity}:
            raise LabSpecError(f"{VARIABLE} is {chosen!r}: use self, mapped or nobody")
        return Identity(chosen)
    if os.geteuid() != 0 and _has_name():
        return Identity.SELF
    try:
        become = becoming(Identity.MAPPED, signal.SIGKILL)
        subprocess.run([sys.executable, "-S", "-c", ""], preexec_fn=become, check=True)
    except (subprocess.SubprocessError, OSError):
        # Only root can become another; a user without a name can but try.
        return Identity.SELF if os.geteuid() else Identity.NOBODY
    return Identity.MAPPED


def _has_name() -> bool:
    """Whether this user is in the user database, as PostgreSQL wants it."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True


def becoming(
    identity: Identity, death: signal.Signals, space: Space | None = None
) -> Callable[[], None]:
    """Return what a child does before it becomes another program.

    It goes into *space*, where it is never root, takes on *identity*, and asks for the
    signal *death* when the thread that started it ends; so start children from the main
    thread.
    """
    libc = _libc()
    parent = os.getpid()

    def become() -> None:
        if space is not None:
            space.enter()
        if space is not None or identity is Identity.MAPPED:
            _map_to_nobody(libc)
        elif identity is Identity.NOBODY:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        libc.prctl(_PR_SET_PDEATHSIG, int(death), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return become


def start(
    command: Sequence[str | Path],
    *,
    identity: Identity = Identity.SELF,
    death: signal.Signals = signal.SIGKILL,
    space: Space | None = None,
    **options: Any,
) -> subprocess.Popen[bytes]:
    """Start *command* in a session of its own; it does not outlive this thread.

    *space* is the network namespace to start it in, if not ours.
    """
    return subprocess.Popen(
        [str(part) for part in command],
        preexec_fn=becoming(identity, death, space),  # noqa: PLW1509 - our callers have one thread
        start_new_session=True,
        **options,
    )


def run(
    command: Sequence[str | Path], *, identity: Identity, text: str = "", limit: float
) -> str:
    """Run *command* with *text* as its input and return what it printed.

    `LabError` tells what it said if it fails or takes longer than *limit* seconds.
    """
    process = start(
        command,
        identity=identity,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        output, _ = process.communicate(text.encode(), timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise LabError(f"{command[0]} did not end within {limit:g} s") from None
    printed = output.decode(errors="replace")
    if process.returncode:
        raise LabError(
            f"{command[0]} failed with {process.returncode}: {printed.strip()}"
        )
    return printed


def _map_to_nobody(libc: ctypes.CDLL) -> None:
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(_CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "user namespaces are not allowed here")
    # A group map may only be written once setgroups is given up.
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{NOBODY} {uid} 1")
    _write("/proc/self/gid_map", f"{NOBODY} {gid} 1")


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
