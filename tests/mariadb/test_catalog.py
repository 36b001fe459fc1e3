"""What a MariaDB server's catalog says is what its reader then does."""

from __future__ import annotations

import pymysql
import pytest

from globaldb.core.mysql.classify import classify
from globaldb.core.mysql.dialect import Dialect
from globaldb.core.statement import Verdict
from globaldb.drivers.pymysql.catalog import read_catalog

MARIADB = Dialect(mariadb=True, version=101100)
READABLE = {Verdict.READ, Verdict.NODE_LOCAL}
OBJECTS = """
CREATE TABLE a (id INT PRIMARY KEY AUTO_INCREMENT, v INT)
CREATE TABLE log (id INT PRIMARY KEY AUTO_INCREMENT, v INT)
CREATE TABLE counted (v INT)
CREATE SEQUENCE seq
CREATE FUNCTION ro(i INT) RETURNS INT READS SQL DATA RETURN (SELECT MAX(v) FROM a)
CREATE FUNCTION into_local(i INT) RETURNS INT READS SQL DATA BEGIN DECLARE n, m INT DEFAULT 0; SELECT COUNT(*) INTO n FROM a; SET m = n, n = n + i; IF n > 3 THEN SET n = REPLACE(n, 1, 2); END IF; RETURN n; END
CREATE FUNCTION looping(i INT) RETURNS DECIMAL(10,2) READS SQL DATA BEGIN DECLARE done INT DEFAULT 0; DECLARE x INT; DECLARE c CURSOR FOR SELECT v FROM a; DECLARE CONTINUE HANDLER FOR NOT FOUND SET done = 1; OPEN c; again: LOOP FETCH c INTO x; IF done THEN LEAVE again; END IF; END LOOP; CLOSE c; RETURN x; END
CREATE FUNCTION calls_ro(i INT) RETURNS INT READS SQL DATA RETURN ro(i) + 1
CREATE FUNCTION wr(i INT) RETURNS INT DETERMINISTIC NO SQL BEGIN INSERT INTO a (v) VALUES (i); RETURN i; END
CREATE FUNCTION calls_wr(i INT) RETURNS INT DETERMINISTIC RETURN wr(i) + 1
CREATE FUNCTION draws(i INT) RETURNS INT DETERMINISTIC RETURN NEXTVAL(seq)
CREATE FUNCTION locks(i INT) RETURNS INT DETERMINISTIC RETURN GET_LOCK('x', 0)
CREATE FUNCTION keeps(i INT) RETURNS INT DETERMINISTIC BEGIN SET @kept = i; RETURN i; END
CREATE FUNCTION assigns(i INT) RETURNS INT DETERMINISTIC RETURN @kept := i
CREATE FUNCTION looks_at(i INT) RETURNS INT DETERMINISTIC RETURN @kept
CREATE FUNCTION makes_temporary(i INT) RETURNS INT DETERMINISTIC BEGIN CREATE TEMPORARY TABLE IF NOT EXISTS tmp (i INT); RETURN i; END
CREATE FUNCTION sets_mode(i INT) RETURNS INT DETERMINISTIC BEGIN SET group_concat_max_len = 1024; RETURN i; END
CREATE FUNCTION sleeps_in_text(i INT) RETURNS VARCHAR(40) DETERMINISTIC RETURN 'insert into a; call p' /* delete from a */
CREATE PROCEDURE p_ro() SELECT COUNT(*) FROM a
CREATE PROCEDURE p_wr() INSERT INTO a (v) VALUES (9)
CREATE PROCEDURE p_tmp() CREATE TEMPORARY TABLE ptmp (i INT)
CREATE PROCEDURE p_calls_tmp() CALL p_tmp()
CREATE PROCEDURE p_text() EXECUTE IMMEDIATE 'SELECT 1'
CREATE VIEW v_plain AS SELECT v FROM a
CREATE VIEW v_ro AS SELECT ro(v) AS x FROM a
CREATE VIEW vw AS SELECT wr(7) AS x
CREATE VIEW v_on_vw AS SELECT x + 1 AS y FROM vw
CREATE VIEW v_locks AS SELECT locks(1) AS x
CREATE FUNCTION reads_vw(i INT) RETURNS INT READS SQL DATA RETURN (SELECT MAX(x) FROM v_on_vw)
CREATE TRIGGER counting BEFORE INSERT ON counted FOR EACH ROW SET @counted = 1
CREATE TRIGGER logging BEFORE INSERT ON a FOR EACH ROW SET NEW.v = NEW.v + 1
CREATE PROCEDURE p_counts() INSERT INTO counted VALUES (1)
"""


@pytest.fixture(scope="module")
def catalog(mariadb):
    mariadb.add_schema("known")
    with mariadb.connect(mariadb.writer, database="known") as connection:
        with connection.cursor() as cursor:
            for statement in OBJECTS.strip().splitlines():
                cursor.execute(statement)
    mariadb.catch_up()
    with mariadb.connect(mariadb.reader, database="known") as connection:
        return read_catalog(connection)


@pytest.fixture
def reader(mariadb, catalog):
    with mariadb.connect(mariadb.reader, database="known") as connection:
        yield connection


CALLS = {
    "SELECT ro(1)": "read",
    "SELECT into_local(1)": "read",
    "SELECT known.looping(1)": "read",
    "SELECT calls_ro(1)": "read",
    "SELECT sleeps_in_text(1)": "read",
    "SELECT RO(1)": "read",
    "SELECT {wr(1)}": "read",
    "SELECT {fn wr(1)}": "write",
    "SELECT wr(1)": "write",
    "SELECT known.`wr`(1)": "write",
    "SELECT calls_wr(1)": "write",
    "SELECT reads_vw(1)": "write",
    "SELECT draws(1)": "write",
    "SELECT v FROM a WHERE v = Wr(1)": "write",
    "SELECT nobody_knows(1)": "write",
    "SELECT locks(1)": "pin",
    "SELECT keeps(1)": "pin",
    "SELECT assigns(1)": "pin",
    "SELECT makes_temporary(1)": "pin",
    "SELECT sets_mode(1)": "pin",
    "SELECT looks_at(1)": "same_connection",
    "CALL p_ro()": "write",
    "CALL p_wr()": "write",
    "CALL p_tmp()": "pin",
    "CALL known.p_calls_tmp()": "pin",
    "CALL p_text()": "pin",
    "CALL p_counts()": "pin",
    "SELECT * FROM a": "read",
    "SELECT * FROM v_plain": "read",
    "SELECT * FROM v_ro": "read",
    "SELECT * FROM vw": "write",
    "SELECT * FROM a JOIN known.vw ON 1": "write",
    "SELECT y FROM v_on_vw": "write",
    "SELECT x FROM v_locks": "pin",
    "SELECT * FROM seq": "write",
    "INSERT INTO counted VALUES (1)": "pin",
    "INSERT INTO a (v) VALUES (1)": "write",
}


@pytest.mark.parametrize("sql", CALLS)
def test_a_statement_over_stored_objects_has_its_verdict(catalog, sql):
    assert classify(sql, catalog, MARIADB).verdict.value == CALLS[sql]


@pytest.mark.parametrize("sql", [sql for sql in CALLS if "nobody" not in sql])
def test_a_reader_refuses_nothing_that_is_called_a_read(catalog, reader, sql):
    refused = ""
    try:
        with reader.cursor() as cursor:
            cursor.execute(sql)
    except pymysql.err.MySQLError as error:
        number, refused = error.args
        assert number == 1290
    assert not (refused and classify(sql, catalog, MARIADB).verdict in READABLE)


def test_a_definition_that_the_user_may_not_see_may_leave_anything(mariadb, catalog):
    mariadb.writer.ask(
        f"CREATE OR REPLACE USER blind IDENTIFIED BY '{mariadb.password}'",
        "GRANT SELECT ON known.* TO blind",
        "GRANT EXECUTE ON FUNCTION known.ro TO blind",
    )
    mariadb.catch_up()
    options = {"user": "blind", "database": "known"}
    with mariadb.connect(mariadb.reader, **options) as connection:
        seen = read_catalog(connection)
    verdicts = [
        classify(sql, seen, MARIADB).verdict.value
        for sql in ("SELECT ro(1)", "SELECT * FROM v_plain", "SELECT * FROM a")
    ]
    assert verdicts == ["pin", "write", "read"]
