"""Give an IP packet another address, and see to its checksums."""

from __future__ import annotations

from typing import Final

#: Where an Ethernet frame has what belongs to its IP packet.
ADDRESSES: Final = slice(26, 34)
SOURCE: Final = 26
TARGET: Final = 30
_IP: Final = 14
_PROTOCOL: Final = _IP + 9
_IP_CHECKSUM: Final = _IP + 10
#: Where TCP and UDP have a checksum, which the addresses are part of.
_CHECKSUMS: Final = {6: 16, 17: 6}


def readdressed(frame: bytes, at: int, address: bytes) -> bytes:
    """Return *frame* with *address* as its `SOURCE` or its `TARGET`."""
    changed = bytearray(frame)
    change = _sum(address) - _sum(changed[at : at + 4])
    changed[at : at + 4] = address
    _adjust(changed, _IP_CHECKSUM, change)
    own = _CHECKSUMS.get(changed[_PROTOCOL])
    if own is not None:
        _adjust(changed, _IP + 4 * (changed[_IP] & 15) + own, change)
    return bytes(changed)


def _sum(address: bytes | bytearray) -> int:
    return int.from_bytes(address[:2]) + int.from_bytes(address[2:])


def _adjust(frame: bytearray, at: int, change: int) -> None:
    """Add *change* to the complement of the checksum at *at*, as RFC 1624 has it."""
    total = ~int.from_bytes(frame[at : at + 2]) & 0xFFFF
    # The sum is one's complement: what overflows, and what is owed, comes around.
    total = (total + change) % 0xFFFF
    frame[at : at + 2] = (~total & 0xFFFF).to_bytes(2)
