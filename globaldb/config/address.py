"""Where a node is: its region, host and port."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv6Address, ip_address
from urllib.parse import unquote

from globaldb.errors import ConfigurationError

REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
HOST_NAME = re.compile(r"[^\s/@,:\[\]?#%\x00]+")
FORM = "REGION@HOST:PORT, for example us-west-2@10.0.0.1:5432"
SEVERAL = f"several hosts stand in one place; give each as a node= of its own: {FORM}"


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """One server process; ``host`` is a name, an address or a socket folder."""

    region: str | None
    host: str
    port: int
    #: Where the host is, once somebody was asked; None leaves that to the driver. The
    #: host remains what the server has to prove to be.
    at: str | None = field(default=None, compare=False)

    @property
    def is_socket(self) -> bool:
        """Whether the host is a folder with a Unix socket in it."""
        return self.host.startswith("/")

    @property
    def stays_here(self) -> bool:
        """Whether what is sent there never leaves this machine."""
        if self.is_socket or self.host.lower() == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        host = (
            f"[{self.host}]" if ":" in self.host and not self.is_socket else self.host
        )
        place = f"{host}:{self.port}"
        return place if self.region is None else f"{self.region}@{place}"


def parse_node(text: str, default_port: int) -> NodeAddress:
    """Read ``[REGION@]HOST[:PORT]``; the host may be ``[IPv6]`` or a socket folder.

    Raises `ConfigurationError` for anything else. The message quotes no more than the
    host, because user and password are sometimes written into a node by mistake.
    """
    region, at, place = text.strip().rpartition("@")
    if at and not REGION.fullmatch(region):
        raise ConfigurationError(
            f"the region of a node is not a name; a node is {FORM}, and user and "
            "password are options of their own"
        )
    host, port = split_place(place)
    return NodeAddress(
        region if at else None,
        checked_host(host),
        default_port if port is None else checked_port(port),
    )


def address_of(region: str | None, host: str, port: int) -> NodeAddress:
    """Return the address of a node that somebody has told of.

    Raises `ConfigurationError` for what is no region, no host or no port: it must not
    become part of a name.
    """
    if region is not None and not REGION.fullmatch(region):
        raise ConfigurationError("its region is no name")
    return NodeAddress(region, checked_host(host), checked_port(str(port)))


def split_place(place: str) -> tuple[str, str | None]:
    """Split *place* into host (brackets and percent signs undone) and port."""
    if "," in place:
        raise ConfigurationError(SEVERAL)
    if place.startswith("["):
        host, bracket, rest = place[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ConfigurationError("an IPv6 host is [ADDRESS] or [ADDRESS]:PORT")
        checked_ipv6(host)
        return host, rest[1:] or None
    if place[:3].lower() == "%2f":
        place = unquote(place)
    head, colon, tail = place.rpartition(":")
    if not colon:
        return place, None
    if ":" in head and not head.startswith("/"):
        raise ConfigurationError(
            "a host has more than one colon; an IPv6 host stands in brackets, "
            "for example [::1]:5432"
        )
    return head, tail or None


def checked_host(host: str) -> str:
    """Return *host* if it can be one."""
    if "," in host:
        raise ConfigurationError(SEVERAL)
    if host.startswith("/"):
        if "\x00" in host:
            raise ConfigurationError("a socket folder holds a null character")
        return host
    if ":" in host:
        return checked_ipv6(host)
    if not HOST_NAME.fullmatch(host):
        raise ConfigurationError(f"{host!r} is not a host; a node is {FORM}")
    return host


def checked_ipv6(host: str) -> str:
    """Return *host* if it is an IPv6 address, with or without a zone."""
    try:
        IPv6Address(host)
    except AddressValueError:
        raise ConfigurationError(
            "what stands in brackets as a host is not an IPv6 address"
        ) from None
    return host


def checked_port(text: str) -> int:
    """Return the port number in *text*."""
    if not is_port(text):
        raise ConfigurationError("a port is a whole number from 1 to 65535")
    return int(text)


def is_port(text: str) -> bool:
    """Whether *text* is a port number."""
    return re.fullmatch(r"[0-9]{1,5}", text) is not None and 1 <= int(text) <= 65535
