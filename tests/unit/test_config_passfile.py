"""Which password belongs to which node."""

from __future__ import annotations

import logging
from functools import partial

import pytest

from globaldb.config import Secret, configure
from globaldb.config.passfile import parse_passfile


@pytest.fixture
def passfile(tmp_path):
    path = tmp_path / ".pgpass"
    path.touch(mode=0o600)
    return path


@pytest.fixture
def read(tmp_path):
    return partial(
        configure,
        "postgresql://app@/shop?node=us@a:1&node=eu@b:2&node=ap@/var/run/postgresql:3",
        environ={},
        folder=tmp_path,
        home=tmp_path,
    )


def passwords(config):
    return [
        secret and secret.reveal() for secret in map(config.password_for, config.nodes)
    ]


def test_each_node_has_the_first_line_that_fits(read, passfile):
    passfile.write_text(
        "# a:1:shop:app:comment\n"
        "a:1:shop:other:wrong user\n"
        "a:1:other:app:wrong database\n"
        "a:9:shop:app:wrong port\n"
        "too:few\n"
        "a:1:shop:app:first\n"
        "a:*:*:*:second\n"
        "localhost:3:*:*:socket\n"
    )
    assert passwords(read()) == ["first", None, "socket"]


@pytest.mark.parametrize(
    ("line", "password"),
    [
        (r"*:*:*:*:a\:b\\c", r"a:b\c"),
        (r"a:1:sh\op:app:x", "x"),
        ("*:*:*:*:x:ignored", "x"),
        ("*:*:*:*:", ""),
        ("*:*:*:*:end\\", "end\\"),
    ],
)
def test_colons_and_backslashes_are_escaped_as_libpq_does(line, password):
    (entry,) = parse_passfile(line + "\r\n").entries
    assert entry.password == Secret(password)
    assert entry.fits(("a", "1", "shop", "app"))


def test_one_password_for_all_leaves_the_file_alone(read, passfile):
    passfile.write_text("*:*:*:*:file")
    assert passwords(read(password="given")) == ["given"] * 3
    assert passwords(read(environ={"PGPASSWORD": "env"})) == ["env"] * 3


def test_without_a_database_the_user_names_it(read, passfile):
    passfile.write_text("*:*:app:app:x")
    config = configure(
        "postgresql://app@h", environ={}, folder=passfile.parent, home=passfile.parent
    )
    assert passwords(config) == ["x"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_may_access_is_ignored_with_a_warning(
    read, passfile, caplog, mode
):
    passfile.write_text("*:*:*:*:hunter2")
    passfile.chmod(mode)
    with caplog.at_level(logging.WARNING, "globaldb"):
        config = read()
    assert passwords(config) == [None] * 3
    (note,) = config.notes
    assert f"mode {mode:04o}" in note
    (record,) = caplog.records
    assert record.name == "globaldb.config"
    assert "chmod 0600" in record.getMessage()
    assert "hunter2" not in caplog.text


def test_a_folder_in_place_of_the_file_is_ignored(read, tmp_path, caplog):
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    assert "it is not a plain file" in read(passfile=folder).notes[0]


def test_the_file_may_be_elsewhere(read, tmp_path):
    for name in ("one", "two"):
        path = tmp_path / name
        path.touch(mode=0o600)
        path.write_text(f"*:*:*:*:{name}")
    environ = {"PGPASSFILE": str(tmp_path / "one")}
    assert passwords(read(environ=environ)) == ["one"] * 3
    assert passwords(read(environ=environ, passfile=tmp_path / "two")) == ["two"] * 3


def test_a_missing_file_is_an_empty_one(read):
    config = read()
    assert passwords(config) == [None] * 3
    assert config.notes == ()


def test_passwords_of_the_file_are_part_of_the_value_but_not_of_its_text(
    read, passfile
):
    before = read()
    passfile.write_text("*:*:*:*:hunter2")
    after = read()
    assert before != after
    assert "hunter2" not in f"{after!r}{after.passfile!r}"
