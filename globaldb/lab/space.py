"""Network namespaces: make some, join them by wires, and go into one.

None of it needs root: the namespaces belong to a user namespace in which we are root.
What is made here lives as long as the process that made it.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from globaldb.lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_CLONE_NEWNS: Final = 0x00020000
_MS_BIND: Final = 0x1000
_MS_REC_PRIVATE: Final = 0x44000
#: Every end of every wire has this address: a packet needs no other one to pass on.
_ETHERNET: Final = "02:00:00:00:00:01"
_SIOCETHTOOL: Final = 0x8946
_ETH_P_IP: Final = 0x0800
_PACKET_IGNORE_OUTGOING: Final = 23
_SOL_PACKET: Final = 263
#: ethtool's commands that switch off what lets cards do the kernel's work: checksums
#: of what comes and goes, and cutting and joining packets. A wire has no card.
_OFFLOADS: Final = (0x15, 0x17, 0x1F, 0x24, 0x2C)
_IP_LIMIT: Final = 20.0
_NOT_ALLOWED: Final = (
    "network namespaces are not allowed here: {}. Allow them (sysctl "
    "kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0; "
    "in a container run with --privileged), or use a lab without --net netns"
)


@dataclass(frozen=True, slots=True)
class Space:
    """A network namespace and the user namespace that it belongs to, as paths."""

    user: str
    net: str

    def enter(self) -> None:
        """Go in, with this thread, which must be its process's only one."""
        # The kernel takes it amiss to be asked for the one that we are in.
        if Path(self.user).stat().st_ino != Path("/proc/self/ns/user").stat().st_ino:
            _join(self.user, _CLONE_NEWUSER)
        _join(self.net, _CLONE_NEWNET)


def as_pair(space: Space | None) -> list[str] | None:
    """Return what `Space` is made of, as JSON can hold it."""
    return None if space is None else [space.user, space.net]


def cover(path: str, other: str) -> None:
    """Have this process, and those it starts, find the file *other* at *path*."""
    if not Path(path).exists():
        return
    libc = _libc()
    _check(libc.unshare(_CLONE_NEWNS), "unshare")
    _check(libc.mount(None, b"/", None, _MS_REC_PRIVATE, None), "mount /")
    done = libc.mount(other.encode(), path.encode(), None, _MS_BIND, None)
    _check(done, f"mount {path}")


def become_root() -> None:
    """Be root in namespaces of our own; `LabError` says if that is not allowed here."""
    uid, gid = os.getuid(), os.getgid()
    try:
        _check(_libc().unshare(_CLONE_NEWUSER | _CLONE_NEWNET), "unshare")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except OSError as failure:
        raise LabError(_NOT_ALLOWED.format(failure)) from failure


def make_spaces(addresses: Sequence[Sequence[str]]) -> list[int]:
    """Make a namespace for each host of so many addresses; return descriptors of them.

    Each has a wire called eth0 that leads here, see `wire`, and sends everything there.
    """
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    spaces = []
    try:
        for _ in addresses:
            _check(_libc().unshare(_CLONE_NEWNET), "unshare")
            spaces.append(os.open("/proc/self/ns/net", os.O_RDONLY))
            _check(_libc().setns(home, _CLONE_NEWNET), "setns")
        _ip(
            f"link add {_wire(number)} address {_ETHERNET} type veth peer name eth0 "
            f"address {_ETHERNET} netns /proc/{os.getpid()}/fd/{space}"
            for number, space in enumerate(spaces)
        )
        for space, own in zip(spaces, addresses, strict=True):
            _check(_libc().setns(space, _CLONE_NEWNET), "setns")
            _connect(own)
        _check(_libc().setns(home, _CLONE_NEWNET), "setns")
    finally:
        os.close(home)
    _ip(f"link set {_wire(number)} arp off up" for number in range(len(spaces)))
    for number in range(len(spaces)):
        _do_it_yourself(_wire(number))
    return spaces


def tap(number: int) -> socket.socket:
    """Return a socket that reads and writes the IP packets of one host's wire."""
    sock = socket.socket(
        socket.AF_PACKET,
        socket.SOCK_RAW | socket.SOCK_NONBLOCK,
        socket.htons(_ETH_P_IP),
    )
    sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.bind((_wire(number), _ETH_P_IP))
    return sock


def _wire(number: int) -> str:
    return f"wire{number}"


def _connect(addresses: Iterable[str]) -> None:
    """Give this namespace its addresses, and send everything over its wire."""
    _ip(
        (
            "link set lo up",
            *(f"addr add {address}/32 dev eth0" for address in addresses),
            "link set eth0 arp off up",
            "route add default dev eth0",
        )
    )
    _do_it_yourself("eth0")


def _do_it_yourself(device: str) -> None:
    """Have the kernel make packets whole: nobody will do it further down the wire."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for command in _OFFLOADS:
            value = ctypes.create_string_buffer(struct.pack("II", command, 0))
            request = struct.pack("16sP", device.encode(), ctypes.addressof(value))
            # Not every kernel knows every one of them.
            with contextlib.suppress(OSError):
                fcntl.ioctl(sock, _SIOCETHTOOL, request)


def _ip(commands: Iterable[str]) -> None:
    program = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise LabError("no program `ip`: apt-get install iproute2")
    done = subprocess.run(
        [program, "-batch", "-"],
        input="\n".join(commands),
        capture_output=True,
        text=True,
        timeout=_IP_LIMIT,
        check=False,
    )
    if done.returncode:
        raise LabError(_NOT_ALLOWED.format(done.stderr.strip()))


def _join(path: str, kind: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc().setns(descriptor, kind), f"cannot enter {path}")
    finally:
        os.close(descriptor)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
