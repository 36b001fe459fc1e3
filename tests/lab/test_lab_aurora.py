"""A lab that answers as Aurora does: its functions, tables, names, and their delays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, Final

import psycopg
import pymysql
import pytest
from promises import FAR, HOME, READER, WRITER, admin, cluster, until

from globaldb.lab import Lab, LabSpec, LabSpecError

pytestmark = pytest.mark.lab

#: The writer goes to and fro between the two; a third is always a reader.
PLACES: Final = (WRITER, "ap-southeast-2-1")
OTHER: Final = "us-west-2-2"
MASTER: Final = "MASTER_SESSION_ID"
REGIONS: Final = {HOME, FAR, "ap-southeast-2"}
#: What each engine calls the same.
GLOBAL: Final = {
    "postgresql": "aurora_global_db_status()",
    "mysql": "information_schema.aurora_global_db_status",
}
INSTANCES: Final = {
    "postgresql": "aurora_global_db_instance_status()",
    "mysql": "information_schema.aurora_global_db_instance_status",
}
OWN: Final = {
    "postgresql": "aurora_replica_status()",
    "mysql": "information_schema.replica_host_status",
}
ME: Final = {
    "postgresql": "SELECT aurora_db_instance_identifier()",
    "mysql": "SELECT @@aurora_server_id",
}


@pytest.fixture(scope="module")
def aurora_labs(module_lab: Callable[[LabSpec], Lab]) -> Callable[[str], Lab]:
    found: dict[str, Lab] = {}

    def lab_of(engine: str) -> Lab:
        if engine not in found:
            found[engine] = module_lab(LabSpec(engine=engine, aurora=True))
        return found[engine]

    return lab_of


@pytest.fixture
def aurora(aurora_labs: Callable[[str], Lab], engine: str) -> Lab:
    """A lab of each engine with Aurora's surface; its writer is not in `FAR`."""
    lab = aurora_labs(engine)
    lab.restore()
    return lab


def rows(lab: Lab, node: str, sql: str) -> list[dict[str, Any]]:
    """Ask *node* as an application next to it; columns by their lower-case names."""
    region = next(each.region for each in lab.nodes if each.name == node)
    options = lab.options(region, node)
    connect: Any = psycopg.connect
    if lab.spec.engine != "postgresql":
        connect = pymysql.connect
    with closing(connect(**options)) as connection:
        cursor = connection.cursor()
        cursor.execute(sql)
        names = [column[0].lower() for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def kind(lab: Lab) -> str:
    return "postgresql" if lab.spec.engine == "postgresql" else "mysql"


def instances(lab: Lab, node: str) -> dict[str, dict[str, Any]]:
    found = rows(lab, node, f"SELECT * FROM {INSTANCES[kind(lab)]}")
    return {each["server_id"]: each for each in found}


def writers(lab: Lab, node: str) -> set[str]:
    """The writers, as *node* has it."""
    found = instances(lab, node)
    return {name for name, row in found.items() if row["session_id"] == MASTER}


def test_every_instance_is_known_everywhere_with_its_region(aurora: Lab) -> None:
    regions = {each.name: each.region for each in aurora.nodes}
    for node in aurora.nodes:
        found = instances(aurora, node.name)
        assert {name: row["aws_region"] for name, row in found.items()} == regions
        assert len({row["session_id"] for row in found.values()}) == len(regions)
        assert writers(aurora, node.name) == {aurora.writer().name}


def test_an_instance_knows_its_own_name(aurora: Lab) -> None:
    for node in aurora.nodes:
        [found] = rows(aurora, node.name, ME[kind(aurora)])
        assert set(found.values()) == {node.name}


def test_the_writers_rows_carry_the_marks_of_its_engine(aurora: Lab) -> None:
    writer = aurora.writer()
    row = instances(aurora, READER)[writer.name]
    after = list(row)[list(row).index("highest_lsn_rcvd") :]
    mark = None if kind(aurora) == "postgresql" else 0
    assert [row[name] for name in after] == [mark] * len(after)
    assert row["durable_lsn"] > 0

    status = rows(aurora, READER, f"SELECT * FROM {GLOBAL[kind(aurora)]}")
    regions = {each["aws_region"]: list(each.values()) for each in status}
    assert regions.keys() == REGIONS
    lag = -1 if kind(aurora) == "postgresql" else 0
    assert regions[writer.region][2:4] == [lag, lag]
    assert regions[writer.region][4].year == 1970
    assert regions[FAR][4].year > 1970


def test_lag_is_in_milliseconds_and_grows_while_nothing_arrives(aurora: Lab) -> None:
    def lag() -> float:
        if kind(aurora) == "postgresql":
            return float(instances(aurora, READER)[READER]["visibility_lag_in_msec"])
        status = rows(aurora, READER, f"SELECT * FROM {GLOBAL['mysql']}")
        [found] = [each for each in status if each["aws_region"] == FAR]
        return float(found["durability_lag_in_milliseconds"])

    # Its way from the writer takes 75 ms at least.
    until(lambda: 70 <= lag() < 1000)
    aurora.partition(aurora.writer().region, FAR)
    until(lambda: lag() > 1000)
    aurora.heal()
    until(lambda: lag() < 1000)


def test_a_cluster_tells_of_its_own_region_only(aurora: Lab) -> None:
    table = f"SELECT * FROM {OWN[kind(aurora)]}"
    writer = aurora.writer().name
    for node in aurora.nodes:
        here = {each.name for each in aurora.nodes if each.region == node.region}
        found = {row["server_id"]: row for row in rows(aurora, node.name, table)}
        assert found.keys() == here
        masters = {n for n, row in found.items() if row["session_id"] == MASTER}
        assert masters == here & {writer}


def test_mysql_leaves_the_way_from_the_writer_out_of_an_instances_lag(
    aurora_labs: Callable[[str], Lab], mysql_engine: str
) -> None:
    lab = aurora_labs(mysql_engine)
    assert instances(lab, READER)[READER]["visibility_lag_in_msec"] < 100


def test_a_reader_learns_of_a_new_writer_when_word_of_it_arrives(aurora: Lab) -> None:
    old = aurora.writer()
    new = PLACES[old.name == PLACES[0]]
    region = next(each.region for each in aurora.nodes if each.name == new)
    aurora.partition(FAR, region)
    aurora.switchover(new)
    assert writers(aurora, new) == {new}
    assert writers(aurora, READER) == {old.name}
    aurora.heal()
    until(lambda: writers(aurora, READER) == {new})
    assert writers(aurora, old.name) == {new}


def test_two_instances_can_seem_to_be_the_writer(aurora: Lab) -> None:
    writer = aurora.writer().name
    aurora.claim(OTHER)
    until(lambda: writers(aurora, READER) == {writer, OTHER})
    assert writers(aurora, writer) == {writer, OTHER}
    aurora.claim(None)
    until(lambda: writers(aurora, READER) == {writer})


def test_a_lab_without_aurora_has_none_of_it(engine_lab: Lab) -> None:
    with pytest.raises(LabSpecError, match="aurora"):
        engine_lab.claim(OTHER)
    with pytest.raises((psycopg.Error, pymysql.err.MySQLError)):
        instances(engine_lab, READER)


# PostgreSQL's own.


def test_postgresql_is_recognised_by_its_settings_and_version(
    aurora_labs: Callable[[str], Lab],
) -> None:
    lab = aurora_labs("postgresql")
    query = "SELECT setting FROM pg_settings WHERE name = 'rds.extensions'"
    for node in (WRITER, READER):
        assert "aurora_stat_utils" in rows(lab, node, query)[0]["setting"]
        assert rows(lab, node, "SELECT aurora_version() AS v")[0]["v"]
    names = rows(lab, WRITER, "SELECT count(*), count(DISTINCT name) FROM pg_settings")
    assert len(set(names[0].values())) == 1


REFUSED: Final = {
    "SELECT pg_current_wal_flush_lsn()": "55000",
    "SELECT pg_current_wal_insert_lsn()": "55000",
    "SELECT pg_last_wal_replay_lsn()": "0A000",
    "SELECT pg_last_xact_replay_timestamp()": "0A000",
}


@pytest.fixture(scope="module")
def strict(module_lab: Callable[[LabSpec], Lab]) -> Lab:
    """Servers without exact positions, as an Aurora without logical replication."""
    return module_lab(LabSpec(aurora="strict", regions={HOME: 0, FAR: 1}))


def test_strict_refuses_the_positions_that_aurora_refuses(strict: Lab) -> None:
    lab = strict
    for sql, code in REFUSED.items():
        for node in (WRITER, READER):
            with pytest.raises(psycopg.Error) as caught:
                rows(lab, node, sql)
            assert caught.value.sqlstate == code
    # The lab's own questions are answered, and so are Aurora's.
    assert {each["role"] for each in lab.status()["nodes"]} == {"writer", "reader"}
    until(lambda: instances(lab, READER)[READER]["visibility_lag_in_msec"] < 5000)


@pytest.mark.parametrize(
    ("refused", "fence"), [((), "xid"), (("pg_xact_status(xid8)",), "lag")]
)
def test_own_writes_are_read_without_positions(
    strict: Lab, refused: tuple[str, ...], fence: str
) -> None:
    with without(strict, *refused), cluster(strict) as found, found.connect() as conn:
        cursor = conn.execute("SHOW GLOBALDB NODES")
        names = [column.name for column in cursor.description]
        shown = [dict(zip(names, row, strict=True)) for row in cursor]
        assert {each["fence"] for each in shown if each["region"] == FAR} == {fence}

        def near(expected: int) -> bool:
            [(seen,)] = conn.execute("SELECT count(*) FROM a_t").fetchall()
            assert seen == expected
            return conn.last_route.region == FAR

        for written in range(1, 4):
            conn.execute("INSERT INTO a_t VALUES (1)")
            until(partial(near, written))


@contextmanager
def without(lab: Lab, *functions: str) -> Iterator[None]:
    """An empty table, and an application that may not call *functions*."""

    def arrived() -> bool:
        may = "".join(
            f" AND NOT has_function_privilege('{f}', 'EXECUTE')" for f in functions
        )
        query = f"SELECT to_regclass('a_t') IS NOT NULL {may} AS arrived"
        return bool(rows(lab, READER, query)[0]["arrived"])

    with admin(lab) as writer:
        writer.execute("CREATE TABLE a_t (n int); ALTER TABLE a_t OWNER TO app")
        for function in functions:
            writer.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
        until(arrived)
        yield
        for function in functions:
            writer.execute(f"GRANT EXECUTE ON FUNCTION {function} TO PUBLIC")
        writer.execute("DROP TABLE a_t")
        until(lambda: not arrived())


# MySQL's own: names are rewritten on their way.


@pytest.fixture
def mysql_aurora(aurora_labs: Callable[[str], Lab], mysql_engine: str) -> Lab:
    lab = aurora_labs(mysql_engine)
    lab.restore()
    return lab


def test_variables_of_aurora_have_values(mysql_aurora: Lab) -> None:
    sql = "SELECT @@aurora_version AS v, @@innodb_read_only AS r, @@GLOBAL.innodb_read_only AS g"
    for node, reads in ((mysql_aurora.writer().name, 0), (READER, 1)):
        [found] = rows(mysql_aurora, node, sql)
        assert found["v"]
        assert (found["r"], found["g"]) == (reads, reads)
    shown = rows(mysql_aurora, READER, "SHOW VARIABLES LIKE 'aurora_version'")
    assert len(shown) == 1


def test_the_tables_are_in_the_catalog(mysql_aurora: Lab) -> None:
    sql = (
        "SELECT table_name AS t FROM information_schema.tables"
        " WHERE upper(table_schema) = 'INFORMATION_SCHEMA'"
        " AND upper(table_name) IN ('AURORA_GLOBAL_DB_STATUS', 'REPLICA_HOST_STATUS')"
    )
    assert len(rows(mysql_aurora, READER, sql)) == 2
    others = "SELECT 1 FROM information_schema.tables WHERE table_schema = 'information_schema'"
    assert len(rows(mysql_aurora, READER, others)) > 10


def test_the_mode_of_forwarding_can_be_set_and_asked(mysql_aurora: Lab) -> None:
    options = mysql_aurora.options(FAR, READER)
    with closing(pymysql.connect(**options)) as connection, connection.cursor() as c:
        c.execute("SELECT @@aurora_replica_read_consistency")
        assert c.fetchone()[0] in ("", b"")
        for statement in (
            "SET aurora_replica_read_consistency = 'session'",
            "SET SESSION aurora_replica_read_consistency = 'session'",
            "set @@session.aurora_replica_read_consistency='session'",
        ):
            c.execute("SET @@aurora_replica_read_consistency = ''")
            c.execute(statement)
            c.execute("SELECT @@session.aurora_replica_read_consistency, 1")
            assert c.fetchone() == ("session", 1)
