"""Where MariaDB's server is looked for, and what is said when it cannot be had."""

from __future__ import annotations

import pytest

from globaldb.lab import debian
from globaldb.lab.debian import fetched
from globaldb.lab.errors import LabError
from globaldb.lab.mariadb_binaries import VARIABLE, find_mariadb


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Have only programs of ours on the path; returns their folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv(debian.VARIABLE, str(tmp_path / "cache"))
    return folder


def program(folder, name, text):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_named_server_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setenv(VARIABLE, "/nowhere/mariadbd")
    with pytest.raises(LabError, match="GLOBALDB_LAB_MARIADBD is '/nowhere/mariadbd'"):
        find_mariadb()


def test_a_named_server_without_its_scripts_is_an_error(monkeypatch, tools):
    server = program(tools, "mariadbd", "echo none")
    monkeypatch.setenv(VARIABLE, str(server))
    with pytest.raises(LabError, match="has no scripts for a new server"):
        find_mariadb()


def test_a_system_without_apt_is_told_to_install(tools):
    with pytest.raises(LabError, match=r"no apt-get and no dpkg.*install the server"):
        fetched("anything", needed="x")


def test_a_failing_apt_is_quoted_and_leaves_nothing(tools, tmp_path):
    program(tools, "env", 'shift 4; exec "$@"')
    program(tools, "apt-get", "echo no network here; exit 100")
    program(tools, "dpkg", "exit 1")
    with pytest.raises(LabError, match=r"is there a network.*no network here"):
        fetched("anything", needed="x")
    left = [path.name for path in (tmp_path / "cache").iterdir()]
    assert [name for name in left if not name.endswith(".lock")] == []


def test_what_was_fetched_once_is_not_fetched_again(tools, tmp_path):
    program(tools, "apt-get", "exit 1")
    program(tools, "dpkg", "exit 1")
    place = tmp_path / "cache" / f"anything-{debian._release()}"
    place.mkdir(parents=True)
    assert fetched("anything", needed="x") == place
