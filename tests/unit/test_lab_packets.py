"""A packet that is given another address is one that kernels believe."""

from __future__ import annotations

import socket
import struct

from hypothesis import given, strategies as st

from globaldb.lab.packets import ADDRESSES, SOURCE, TARGET, readdressed

ADDRESS = st.binary(min_size=4, max_size=4)


def checksum(data: bytes) -> int:
    """The checksum of the internet, by its definition."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(
    source: bytes, target: bytes, options: bytes, protocol: int, body: bytes
) -> bytes:
    """An Ethernet frame with a packet in it whose checksums are right."""
    at = {socket.IPPROTO_TCP: 16, socket.IPPROTO_UDP: 6}[protocol]
    head = bytearray(20) + bytearray(options)
    head[0] = 0x40 | len(head) // 4
    head[9] = protocol
    head[12:20] = source + target
    head[10:12] = checksum(bytes(head)).to_bytes(2)
    segment = bytearray(body)
    segment[at : at + 2] = b"\0\0"
    pseudo = source + target + bytes([0, protocol]) + len(segment).to_bytes(2)
    segment[at : at + 2] = checksum(pseudo + bytes(segment)).to_bytes(2)
    return b"\x02\0\0\0\0\x01" * 2 + b"\x08\0" + bytes(head) + bytes(segment)


@given(
    addresses=st.tuples(ADDRESS, ADDRESS, ADDRESS),
    at=st.sampled_from([SOURCE, TARGET]),
    options=st.sampled_from([b"", b"\1\1\1\0", b"\1" * 40]),
    protocol=st.sampled_from([socket.IPPROTO_TCP, socket.IPPROTO_UDP]),
    body=st.binary(min_size=20, max_size=64),
)
def test_the_checksums_are_those_of_a_packet_made_so(
    addresses: tuple[bytes, bytes, bytes],
    at: int,
    options: bytes,
    protocol: int,
    body: bytes,
) -> None:
    source, target, other = addresses
    before = frame(source, target, options, protocol, body)
    ends = (other, target) if at == SOURCE else (source, other)
    after = readdressed(before, at, other)
    assert after[ADDRESSES] == b"".join(ends)
    head_ends = 14 + 20 + len(options)
    pseudo = after[ADDRESSES] + bytes([0, protocol]) + len(body).to_bytes(2)
    # What has its own right checksum in it sums up to nothing.
    assert checksum(after[14:head_ends]) == 0
    assert checksum(pseudo + after[head_ends:]) == 0
    assert after[:24] == before[:24]
    assert after[34:head_ends] == before[34:head_ends]


def test_what_is_neither_tcp_nor_udp_keeps_its_content() -> None:
    ping = bytearray(
        frame(b"\1\1\1\1", b"\2\2\2\2", b"", socket.IPPROTO_TCP, b"x" * 20)
    )
    ping[23] = 1
    assert readdressed(bytes(ping), TARGET, b"\3\3\3\3")[34:] == bytes(ping[34:])
