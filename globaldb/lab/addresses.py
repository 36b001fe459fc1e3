"""Choose addresses: many of 127.0.0.0/8 and one port, or 127.0.0.1 and many ports.

Ports stay below 32768: above it, any outgoing connection may have taken one.
"""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from globaldb.lab.errors import LabError

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from globaldb.lab.link import Address

PORTS: Final = range(20000, 32000)
_NETWORKS: Final = range(16, 240)
_ATTEMPTS: Final = 200
#: The third number of an address says what it is; client regions count from 1.
_REPLICATION: Final = 200
_SERVERS: Final = 250
_CLAIM: Final = 255
#: The fourth number is the node's, from 1, and in a client region also this.
_NAMES: Final = 253


@dataclass(frozen=True, slots=True)
class AddressBook:
    """Where every server and link of a lab listens. `claim` keeps others away.

    Client links are by region and node, in the order of their lists; names, which are
    the name servers, are by region.
    """

    servers: tuple[Address, ...]
    replication: tuple[Address, ...]
    clients: tuple[tuple[Address, ...], ...]
    names: tuple[Address, ...]
    claim: tuple[socket.socket, ...] = ()


def choose_addresses(
    regions: int, nodes: int, *, single_address: bool, chance: random.Random
) -> AddressBook:
    """Find free addresses for *nodes* servers and the links from *regions* to them."""
    if single_address or not _can_bind("127.0.0.2", 0):
        return _on_one_address(regions, nodes, chance)
    for _ in range(_ATTEMPTS):
        network, port = chance.choice(_NETWORKS), chance.choice(PORTS)
        try:
            claim = _bound(f"127.{network}.{_CLAIM}.1", port)
        except OSError:
            continue
        book = _on_many_addresses(regions, nodes, network, port, claim)
        if all(_can_bind(*address) for address in (*book.servers, *book.names)):
            return book
        claim.close()
    raise LabError(f"no free port found in {PORTS} after {_ATTEMPTS} attempts")


def _on_many_addresses(
    regions: int, nodes: int, network: int, port: int, claim: socket.socket
) -> AddressBook:
    def row(third: int) -> tuple[Address, ...]:
        return tuple((f"127.{network}.{third}.{n}", port) for n in range(1, nodes + 1))

    return AddressBook(
        servers=row(_SERVERS),
        replication=row(_REPLICATION),
        clients=tuple(row(region) for region in range(1, regions + 1)),
        names=tuple(
            (f"127.{network}.{region}.{_NAMES}", port)
            for region in range(1, regions + 1)
        ),
        claim=(claim,),
    )


def _on_one_address(regions: int, nodes: int, chance: random.Random) -> AddressBook:
    wanted = nodes * (2 + regions)
    ports = free_ports("127.0.0.1", wanted + regions, chance)
    addresses = [("127.0.0.1", port) for port in ports]
    rows = [
        tuple(addresses[start : start + nodes]) for start in range(0, wanted, nodes)
    ]
    return AddressBook(
        servers=rows[0],
        replication=rows[1],
        clients=tuple(rows[2:]),
        names=tuple(addresses[wanted:]),
    )


def free_ports(host: str, count: int, chance: random.Random) -> Sequence[int]:
    """Return *count* different ports that nobody listens on now."""
    found: list[int] = []
    for port in chance.sample(PORTS, len(PORTS)):
        if len(found) == count:
            break
        if _can_bind(host, port):
            found.append(port)
    if len(found) < count:
        raise LabError(f"only {len(found)} of {count} ports are free in {PORTS}")
    return found


def _bound(host: str, port: int) -> socket.socket:
    sock = socket.socket()
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(1)
    except OSError:
        sock.close()
        raise
    return sock


def _can_bind(host: str, port: int) -> bool:
    with contextlib.suppress(OSError):
        _bound(host, port).close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as packets:
            packets.bind((host, port))
        return True
    return False
