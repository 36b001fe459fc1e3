"""Requests on their way to a lab's MySQL: names by others of the same length."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from globaldb.lab.rewriting import Rewriting, rewritten


def packet(body: bytes, *, number: int = 0) -> bytes:
    return len(body).to_bytes(3, "little") + bytes([number]) + body


def query(text: str) -> bytes:
    return packet(b"\x03" + text.encode())


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        (
            "SELECT 1 FROM information_schema.replica_host_status",
            "information_aurora.r",
        ),
        (
            "SELECT 1 FROM `INFORMATION_SCHEMA`.`AURORA_GLOBAL_DB_STATUS`",
            "`information_aurora`.`aurora_global_db_status`",
        ),
        (
            "SELECT a FROM information_schema.t WHERE SERVER_ID = @@aurora_server_id",
            "SERVER_ID = @@report_host",
        ),
        ("SELECT @@global.innodb_read_only, 1", "@@read_only              , 1"),
        ("SHOW VARIABLES LIKE 'aurora_version'", "LIKE 'version'"),
        ("SET aurora_replica_read_consistency='x'", "SET @aurora_mode "),
        ("SET @@session.aurora_replica_read_consistency = 'x'", "SET @aurora_mode "),
        ("SELECT @@aurora_replica_read_consistency", "SELECT IFNULL(@aurora_mode, '')"),
    ],
)
def test_a_name_gives_way_to_another_of_the_same_length(asked: str, sent: str) -> None:
    found = rewritten(query(asked))
    assert sent.encode() in found
    assert len(found) == len(query(asked))


@pytest.mark.parametrize(
    "asked",
    [
        "SELECT table_name FROM information_schema.tables",
        "SELECT 1 FROM t WHERE table_schema = 'information_schema'",
        "SELECT @@read_only, 'schema'",
    ],
)
def test_what_names_nothing_of_aurora_stays(asked: str) -> None:
    assert rewritten(query(asked)) == query(asked)


def test_the_catalog_is_asked_for_the_tables_where_they_are() -> None:
    asked = (
        "SELECT 1 FROM information_schema.tables WHERE table_schema = "
        "'information_schema' AND table_name = 'replica_host_status'"
    )
    found = rewritten(query(asked))
    assert b"information_schema.tables" in found
    assert b"'information_aurora'" in found


STREAM = b"".join(
    [
        # A login: the names in it are nobody's text.
        packet(b"\x85\xa6 aurora_version @@aurora_server_id", number=1),
        query("SELECT @@aurora_server_id"),
        packet(b""),
        query("SELECT 1"),
        packet(b"\x03" + b" " * (1 << 17) + b"@@aurora_server_id"),
        packet(b"\x16SELECT @@aurora_version"),
        packet(b"\x01"),
    ]
)


@given(st.lists(st.integers(1, len(STREAM) - 1), max_size=8))
def test_a_stream_in_pieces_becomes_what_it_becomes_in_one(cuts: list[int]) -> None:
    whole = Rewriting().feed(STREAM)
    assert whole != STREAM
    assert len(whole) == len(STREAM)
    rewriting = Rewriting()
    ends = [0, *sorted(set(cuts)), len(STREAM)]
    assert b"".join(rewriting.feed(STREAM[a:b]) for a, b in pairwise(ends)) == whole


def test_a_name_in_two_pieces_is_found() -> None:
    rewriting, request = Rewriting(), query("SELECT @@aurora_server_id")
    assert rewriting.feed(request[:18]) == b""
    assert rewriting.feed(request[18:]) == rewritten(request)


def test_nothing_is_held_of_what_is_encrypted() -> None:
    rewriting = Rewriting()
    # Behind it comes what looks like the beginning of a text of a hundred bytes.
    stream = packet(b"\x85\xae" + bytes(30), number=1) + b"\x64\x00\x00\x00\x03TLS"
    assert rewriting.feed(stream) == stream


def test_only_texts_are_rewritten() -> None:
    login = packet(b"\x85\xa6 @@aurora_server_id", number=1)
    assert Rewriting().feed(login) == login
