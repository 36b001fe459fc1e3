"""The pair of servers is what it says: one writes, one follows and refuses."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pymysql
import pytest
from mariadb_pair import private_folder

from globaldb.lab.waiting import wait_until

READ_ONLY = 1290
TESTS = Path(__file__).parent.parent


@pytest.fixture
def schema(mariadb):
    mariadb.add_schema("pair")
    mariadb.writer.ask("CREATE TABLE pair.a (i INT)")
    mariadb.catch_up()
    return "pair"


def refused(mariadb, schema, sql):
    """Return the error of *sql* on the reader."""
    with mariadb.connect(mariadb.reader, database=schema) as connection:
        with connection.cursor() as cursor:
            with pytest.raises(pymysql.err.MySQLError) as caught:
                cursor.execute(sql)
    return caught.value.args


def test_what_the_writer_commits_is_read_at_the_reader(mariadb, schema):
    with mariadb.connect(mariadb.writer, database=schema) as connection:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO a VALUES (7)")
    mariadb.catch_up()
    assert mariadb.reader.ask(f"SELECT i FROM {schema}.a") == (7,)


def test_what_a_reader_logs_for_itself_does_not_end_replication(mariadb, schema):
    with mariadb.connect(mariadb.reader, database=schema) as connection:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE TABLE a PERSISTENT FOR ALL")
    assert mariadb.reader.ask("SELECT @@global.gtid_binlog_pos LIKE '%2-2-%'") == (1,)
    mariadb.writer.ask(f"INSERT INTO {schema}.a VALUES (8)")
    mariadb.catch_up()
    assert mariadb.reader.ask(f"SELECT i FROM {schema}.a") == (8,)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO a VALUES (1)",
        "UPDATE a SET i = 1 WHERE i = -1",
        "CREATE TABLE b (i INT)",
        "START TRANSACTION READ WRITE",
        "SELECT i FROM a FOR UPDATE",
    ],
)
def test_a_reader_refuses_the_application_with_1290_and_read_only(mariadb, schema, sql):
    number, text = refused(mariadb, schema, sql)
    assert number == READ_ONLY
    assert "--read-only" in text


def test_1290_is_not_only_about_being_read_only(mariadb, schema):
    mariadb.writer.ask("GRANT FILE ON *.* TO app")
    mariadb.catch_up()
    number, text = refused(mariadb, schema, "SELECT 1 INTO OUTFILE '/nowhere/x'")
    mariadb.writer.ask("REVOKE FILE ON *.* FROM app")
    assert number == READ_ONLY
    assert "--secure-file-priv" in text
    assert "read-only" not in text


def test_a_write_in_a_read_only_transaction_is_1792(mariadb, schema):
    with mariadb.connect(mariadb.writer, database=schema) as connection:
        with connection.cursor() as cursor:
            cursor.execute("START TRANSACTION READ ONLY")
            with pytest.raises(pymysql.err.MySQLError) as caught:
                cursor.execute("INSERT INTO a VALUES (1)")
    assert caught.value.args[0] == 1792


PROGRAM = """
import sys, time
sys.path.insert(0, {tests!r})
from mariadb_pair import running_pair
with running_pair() as pair:
    print(pair.writer.pid, pair.reader.pid, pair.writer.folder.parent)
    sys.stdout.flush()
    time.sleep(60)
"""


def test_nothing_outlives_a_killed_owner():
    command = [sys.executable, "-c", PROGRAM.format(tests=str(TESTS))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        *pids, folder = owner.stdout.readline().split()
        owner.send_signal(signal.SIGKILL)
    wait_until(
        lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in pids),
        limit=10,
        what="a server outlives its owner",
    )
    assert len(pids) == 2
    with private_folder():
        assert not Path(folder).exists()
