"""Where MySQL's and MariaDB's servers are looked for, and what is said of the wrong."""

from __future__ import annotations

import pytest

from globaldb.lab import debian
from globaldb.lab.debian import fetched
from globaldb.lab.errors import LabError
from globaldb.lab.mysql.binaries import VARIABLES, find_mysql


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


@pytest.fixture(params=["mariadb", "mysql"])
def sought(request):
    """The engine that is looked for."""
    return request.param


def answering(folder, name, version):
    return program(folder, name, f'echo "{name}  Ver {version} for Linux on x86_64"')


def test_a_named_server_that_is_not_there_is_an_error(monkeypatch, sought):
    monkeypatch.setenv(VARIABLES[sought], "/nowhere/server")
    with pytest.raises(LabError, match=f"{VARIABLES[sought]} is '/nowhere/server'"):
        find_mysql(sought)


@pytest.mark.parametrize(
    ("wanted", "version", "message"),
    [
        ("mysql", "10.11.19-MariaDB-0+deb12u1", "is no MySQL server: .*MariaDB"),
        ("mariadb", "9.7.4-2", "is no MariaDB server: .*9.7.4"),
        ("mysql", "5.7.44", r"is MySQL 5\.7\.44; the lab needs 8\.0 or newer"),
        ("mariadb", "10.3.1-MariaDB", r"is MariaDB 10\.3\.1; the lab needs 10\.5"),
        ("mysql", "8.4.0", "has no english/errmsg.sys"),
        ("mariadb", "11.8.2-MariaDB", "has no scripts for a new server"),
    ],
)
def test_a_named_server_must_be_the_right_one(
    monkeypatch, tmp_path, wanted, version, message
):
    server = answering(tmp_path, "server", version)
    monkeypatch.setenv(VARIABLES[wanted], str(server))
    with pytest.raises(LabError, match=message):
        find_mysql(wanted)


def test_a_mysqld_on_the_path_that_is_mariadb_is_passed_over(monkeypatch, tmp_path):
    server = answering(tmp_path, "mysqld", "10.11.19-MariaDB-0+deb12u1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv(debian.VARIABLE, str(tmp_path / "cache"))
    (tmp_path / "cache" / "mysql-server-core-sid").mkdir(parents=True)
    # It goes on to what was fetched, which is empty here.
    with pytest.raises(LabError, match="has no C library for") as caught:
        find_mysql("mysql")
    assert str(server) not in str(caught.value)


def test_without_any_server_it_is_said_how_to_get_one(tools, sought):
    with pytest.raises(LabError) as caught:
        find_mysql(sought)
    assert "server found; install one, or name its " in str(caught.value)
    assert f"in {VARIABLES[sought]}. nothing can be fetched here" in str(caught.value)


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
