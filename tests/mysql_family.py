"""What tests of the promises need to know of MySQL and MariaDB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pymysql
import pytest
from lab_fixtures import engines
from promises import FAR, HOME, WRITER, cluster, until

import globaldb
from globaldb.lab import Lab, LabSpec

#: The engines of this run that PyMySQL speaks to; a test runs once with each.
FAMILY = [name for name in engines() if name != "postgresql"]
each_engine = pytest.mark.parametrize("engine", FAMILY, indirect=True, scope="session")


def near(engine: str) -> LabSpec:
    """A lab of one writer, and one reader 30 ms away from it."""
    return LabSpec(regions={HOME: 0, FAR: 1}, rtt={(HOME, FAR): 0.03}, engine=engine)


@contextmanager
def admin(lab: Lab, node: str = WRITER) -> Iterator[Any]:
    """A superuser's cursor on *node* itself, from next to it."""
    region = next(each.region for each in lab.nodes if each.name == node)
    options = lab.options(region, node, superuser=True)
    with pymysql.connect(**options, autocommit=True) as conn, conn.cursor() as cursor:
        yield cursor


def table(lab: Lab, name: str, columns: str = "n int primary key") -> None:
    """Make an empty table, and wait until every reader has it."""
    with admin(lab, lab.writer().name) as writer:
        writer.execute("SET SESSION sql_notes = 0")
        writer.execute(f"DROP TABLE IF EXISTS {name}")
        writer.execute(f"CREATE TABLE {name} ({columns})")
    caught_up(lab)


def caught_up(lab: Lab) -> None:
    """Wait until every reader that can has applied what the writer has now."""
    home = lab.writer().name
    with admin(lab, home) as writer:
        is_mariadb = "MariaDB" in writer.connection.server_version
        wanted, wait = (
            ("gtid_binlog_pos", "MASTER_GTID_WAIT")
            if is_mariadb
            else ("gtid_executed", "WAIT_FOR_EXECUTED_GTID_SET")
        )
        writer.execute(f"SELECT @@global.{wanted}")
        [position] = writer.fetchone()
    for node in lab.nodes:
        if node.name != home:
            with admin(lab, node.name) as reader:
                reader.execute(f"SELECT {wait}(%s, 30)", (position,))
                assert reader.fetchone() == (0,), f"{node.name} is late"


def seen_everywhere(found: globaldb.Cluster) -> None:
    """Wait until every node has answered, and connections are at hand."""
    pools = [node.pool for node in found.runtime.nodes.values()]
    until(lambda: all(pool.stats.idle >= 1 for pool in pools))
    until(lambda: all(pool.stats.connecting == 0 for pool in pools))


@contextmanager
def connected(lab: Lab, region: str = FAR, **options: Any) -> Iterator[Any]:
    """A connection of a cluster of its own, as another process would have it."""
    with cluster(lab, region, **options) as found:
        conn = found.connect()
        seen_everywhere(found)
        yield conn
        if conn.open:
            conn.close()


def rows(conn: Any, sql: str, args: Any = None) -> list[tuple[Any, ...]]:
    """Run *sql* and return what it answers."""
    with conn.cursor() as cursor:
        cursor.execute(sql, args)
        return list(cursor.fetchall())


def value(conn: Any, sql: str, args: Any = None) -> Any:
    """Run *sql* and return the first column of the only row."""
    [[found]] = rows(conn, sql, args)
    return found


def run(conn: Any, sql: str, args: Any = None) -> int:
    """Run *sql* and return how many rows it concerned."""
    with conn.cursor() as cursor:
        return int(cursor.execute(sql, args))
