"""OK packets: what was put in is read out, and nothing that is cut short raises."""

from __future__ import annotations

import struct

from hypothesis import example, given, strategies as st

from globaldb.drivers.pymysql.tracking import Outcome, outcome

CHANGED = 0x4000
numbers = st.one_of(
    st.integers(0, 260), st.integers(0, 2**17), st.integers(0, 2**64 - 1)
)
texts = st.text(max_size=300)
names = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=40)


def number(value: int) -> bytes:
    if value < 251:
        return bytes([value])
    for mark, width in ((0xFC, 2), (0xFD, 3), (0xFE, 8)):
        if value < 1 << (8 * width):
            return bytes([mark]) + value.to_bytes(width, "little")
    raise AssertionError(value)


def string(value: bytes) -> bytes:
    return number(len(value)) + value


def packet(
    found: Outcome, changes: list[tuple[int, bytes]], *, tracked: bool = True
) -> bytes:
    head = b"\0" + number(found.affected_rows) + number(found.insert_id)
    head += struct.pack("<HH", found.status, found.warnings)
    if not tracked:
        return head + found.message
    block = b"".join(bytes([kind]) + string(entry) for kind, entry in changes)
    return head + (found.message or b"\0") + (string(block) if changes else b"")


def variable(name: str, value: str) -> tuple[int, bytes]:
    return 0, string(name.encode()) + string(value.encode())


@st.composite
def packets(draw: st.DrawFn) -> tuple[bytes, Outcome]:
    schema, gtids = draw(st.none() | names), draw(st.none() | names)
    said = [("variable", each) for each in draw(st.lists(st.tuples(names, texts)))]
    if schema is not None:
        said.append(("schema", (schema, "")))
    if gtids is not None:
        said.append(("gtids", (gtids, "")))
    said += [("unknown", each) for each in draw(st.lists(st.tuples(names, texts)))]
    said = draw(st.permutations(said))
    entries = {
        "variable": variable,
        "schema": lambda name, _: (1, string(name.encode())),
        "gtids": lambda name, _: (3, b"\0" + string(name.encode())),
        "unknown": lambda name, value: (4 + len(name), value.encode()),
    }
    text = draw(texts).encode()
    status = draw(st.integers(0, 0xFFFF)) & ~CHANGED | (CHANGED if said else 0)
    found = Outcome(
        draw(numbers),
        draw(numbers),
        status,
        draw(st.integers(0, 0xFFFF)),
        string(text) if text else b"",
        gtids,
        tuple(each for kind, each in said if kind == "variable"),
        schema,
    )
    return packet(found, [entries[kind](*each) for kind, each in said]), found


@given(packets())
def test_what_a_server_says_is_what_is_read(made: tuple[bytes, Outcome]) -> None:
    data, expected = made
    assert outcome(data, tracked=True) == expected


@given(packets(), st.data())
def test_a_packet_cut_short_raises_nothing_and_invents_nothing(
    made: tuple[bytes, Outcome], data: st.DataObject
) -> None:
    whole, expected = made
    cut = data.draw(st.integers(0, len(whole)))
    found = outcome(whole[:cut], tracked=True)
    assert found.affected_rows <= expected.affected_rows
    assert len(found.variables) <= len(expected.variables)
    assert (expected.gtids or "").startswith(found.gtids or "")


@given(st.binary(max_size=200), st.booleans())
@example(b"\0\xfe\xff\xff\xff\xff\xff\xff\xff\xff", True)
def test_no_bytes_raise_anything(data: bytes, tracked: bool) -> None:
    assert isinstance(outcome(data, tracked=tracked), Outcome)


def test_without_tracking_everything_behind_is_the_message() -> None:
    found = Outcome(1, 2, 2 | CHANGED, 3, b"(Rows matched: 1")
    data = packet(found, [], tracked=False)
    assert outcome(data, tracked=False) == found
