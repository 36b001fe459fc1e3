"""Verdicts and reasons of single texts of MySQL, each a trap for a simpler reader."""

from __future__ import annotations

import pytest

from globaldb.core.catalog import Catalog
from globaldb.core.findings import Finding
from globaldb.core.mysql.classify import LONGEST, classify
from globaldb.core.mysql.dialect import Dialect
from globaldb.core.statement import (
    Begin,
    Commit,
    Deallocate,
    Defines,
    Execute,
    ExplainRoute,
    GlobaldbShow,
    Prepare,
    ResetSetting,
    Rollback,
    RollbackTo,
    Savepoint,
    SetCharacteristics,
    SetConfig,
    SetConsistency,
    SetSetting,
    SetTransaction,
    ShowConsistency,
    ShowSetting,
    Statement,
    Verdict,
)

#: Each as real servers of MySQL 9.7 and MariaDB 10.11, read only, take it.
CASES = {
    (Verdict.READ, "checksum"): [
        "checksum table a",
    ],
    (Verdict.READ, "empty"): [
        "",
        ";",
        "-- x",
    ],
    (Verdict.READ, "explain"): [
        "explain select * from a",
        "explain format=json select * from a",
        "explain analyze select * from a",
        "describe a",
        "desc a v",
        "describe a 'v%'",
        "explain a",
        "analyze select * from a",
        "analyze format=json select * from a",
    ],
    (Verdict.READ, "explain_route"): [
        "explain route select 1",
    ],
    (Verdict.READ, "globaldb_show"): [
        "show pools",
        "show globaldb nodes",
    ],
    (Verdict.READ, "help"): [
        "help 'select'",
    ],
    (Verdict.READ, "select"): [
        "SELECT 1",
        "select `for`.`update` from (select 1 `update`) `for`",
        "select * from a limit 1 offset 0",
        "select 1 /*!99999 , wr(1) */",
        "select 1 /*+ wr(1) */",
        "select 1 -- wr(1)",
        "select 1 # wr(1)",
        "select 1 --\twr(1)",
        "select 'a' 'wr(1)'",
        'select "wr(1)"',
        "select _utf8'wr(1)'",
        "select n'wr(1)'",
        "select x'41', b'01', 0x41",
        "select count(*) from a",
        "select count(distinct v) from a",
        "select group_concat(v order by v separator ',') from a",
        "select cast(v as char(10)), convert(v, char(5)), convert(v using utf8mb4) from a",
        "select trim(both ' ' from 'a'), extract(year from now()), position('a' in 'b'), substring('abc' from 1 for 2)",
        "select if(1,2,3), left('a',1), right('a',1), repeat('a',2), insert('abc',1,1,'x'), replace('a','b','c'), mod(3,2), truncate(1.5,1), values_.x from (select 1 x) values_",
        "select date_add(now(), interval 1 day), now() + interval 1 hour",
        "select match(c) against ('x' in boolean mode) from t1",
        "select * from t1 use index (primary) where id in (1,2)",
        "select * from t1 force index for order by (primary)",
        "select row_number() over (order by id) from a",
        "select rank() over w from a window w as (order by id)",
        "select json_extract(j,'$.a'), j->'$.a', j->>'$.a' from t1",
        "select * from json_table('[1]', '$[*]' columns (id for ordinality, x int path '$')) jt",
        "with recursive c(n) as (select 1 union all select n+1 from c where n<5) select * from c",
        "with a1(x) as (select 1), b1(y) as (select 2) select * from a1, b1",
        "select * from (select 1, 2) as d(a, b)",
        "select * from (values row(1,2)) d(a,b)",
        "select exists(select 1 from a)",
        "select 1 in (1,2), (1,2) = (1,2), row(1,2)=row(1,2)",
        "select any_value(v) from a",
        "select v from a where v = any (select 1)",
        "select sha2('a',256), uuid(), rand(), now(6), sysdate(), curdate(), unix_timestamp(), database(), user(), current_user(), current_user, current_timestamp(6), utc_timestamp",
        "select uuid_short()",
        "select * from a procedure analyse()",
        "set statement max_statement_time=1 for select 1",
        "execute immediate 'select 1'",
        "prepare s from 'select 1'; execute s; deallocate prepare s",
        "select * from information_schema.tables",
        "select * from mysql.user",
        "select * from a where c = 'x' -- for update",
        "select * from t1 where a = %s and b = %(x)s and c like '%%x'",
        "select 17 member of ('[17]')",
        "select * from a where v regexp 'x' and v rlike 'y' and v div 2 and v mod 2 xor 1",
        "select date '2020-01-01', time '10:00', timestamp '2020-01-01 00:00:00'",
        "select straight_join * from a straight_join t1",
        "select high_priority * from a",
        "select * from a partition (p0)",
        "select format_bytes(5)",
        "select sleep(0)",
        "select charset('a'), collation('a'), coercibility('a')",
        "select st_astext(point(1,1))",
    ],
    (Verdict.READ, "show"): [
        "show databases",
        "show tables",
        "show full tables from t like 'a%'",
        "show columns from a",
        "show full columns from a",
        "show index from a",
        "show keys from a",
        "show create table a",
        "show create view vok",
        "show table status",
        "show triggers",
        "show events",
        "show procedure status",
        "show function status like 'x'",
        "show grants",
        "show grants for current_user()",
        "show character set",
        "show collation",
        "show privileges",
    ],
    (Verdict.READ, "show_consistency"): [
        "show variables like 'aurora_replica_read_consistency'",
    ],
    (Verdict.READ, "table"): [
        "table a",
    ],
    (Verdict.NODE_LOCAL, "node_function"): [
        "select version()",
        "select connection_id()",
        "select ps_current_thread_id()",
        "select wait_for_executed_gtid_set('x',0)",
        "select sys.format_bytes(1)",
    ],
    (Verdict.NODE_LOCAL, "node_setting"): [
        "select @@version",
        "select @@global.read_only",
        "select @@session.sql_mode",
        "select @@autocommit",
        "show variables",
        "show global variables like 'x%'",
        "show session variables",
    ],
    (Verdict.NODE_LOCAL, "node_view"): [
        "show engines",
        "show plugins",
        "show open tables",
        "show processlist",
        "show full processlist",
        "show status",
        "show global status like 'x'",
        "show engine innodb status",
        "show replica status",
        "show slave status",
        "show all slaves status",
        "explain for connection 1",
        "select * from performance_schema.threads",
        "select * from sys.processlist",
        "select * from information_schema.processlist",
        "select * from information_schema.innodb_trx",
        "select * from mysql.slow_log",
        "select `information_schema`.`processlist`.`id` from `information_schema`.`processlist`",
    ],
    (Verdict.SAME_CONNECTION, "diagnostics"): [
        "show warnings",
        "show warnings limit 1",
        "show count(*) warnings",
        "show errors",
        "show profiles",
        "get diagnostics @a = number",
    ],
    (Verdict.SAME_CONNECTION, "found_rows"): [
        "select found_rows()",
        "select sql_calc_found_rows * from a",
    ],
    (Verdict.SAME_CONNECTION, "row_count"): [
        "select row_count()",
    ],
    (Verdict.SAME_CONNECTION, "sequence"): [
        "select previous value for s",
        "select lastval(s)",
    ],
    (Verdict.SAME_CONNECTION, "session_state"): [
        "select @@identity",
        "select @@session.last_insert_id",
        "select @@warning_count, @@error_count",
        "show session status",
        "select * from information_schema.user_variables",
    ],
    (Verdict.SAME_CONNECTION, "user_variable"): [
        "select @a, @`b c`, @'d'",
    ],
    (Verdict.WRITE, "administration"): [
        "set global max_connections=100",
        "set @@global.max_connections=100",
        "set persist max_connections=100",
        "set @@persist.max_connections=1",
        "set global transaction read only",
        "set default role none to app",
        "set password='x'",
        "xa recover",
        "show master status",
        "show binary logs",
        "show binlog events",
        "show replicas",
        "show slave hosts",
        "flush logs",
        "flush status",
        "kill 5",
        "shutdown",
        "purge binary logs to 'x'",
        "reset master",
        "install plugin x soname 'y'",
        "change master to master_host='x'",
        "binlog 'x'",
        "select * from information_schema.innodb_cmp_reset",
        "clone local data directory 'x'",
        "import table from 'x'",
        "restart",
    ],
    (Verdict.WRITE, "copy_in"): [
        "load data local infile 'x' into table a",
    ],
    (Verdict.WRITE, "definition"): [
        "create table y(i int)",
        "drop table y",
        "alter table a add x int",
        "rename table a to b",
        "create index i on a(v)",
        "create procedure p1() begin select 1; set @x=1; end",
        "create trigger tr before insert on a for each row set new.v=1",
        "alter instance rotate innodb master key",
        "grant select on t.* to app",
        "revoke select on t.* from app",
    ],
    (Verdict.WRITE, "do"): [
        "do sleep(0)",
    ],
    (Verdict.WRITE, "execute"): [
        "execute s",
        "execute s using @a",
    ],
    (Verdict.WRITE, "locking_clause"): [
        "select * from a where id in (select id from a for update)",
        "select * from a union select * from a for update",
        "(select * from a for update)",
        "(select * from a) union (select * from a lock in share mode)",
        "with x as (select * from a for share) select * from x",
        "select * from a for update skip locked",
        "select * from a for update of a nowait",
        "explain select * from a for update",
    ],
    (Verdict.WRITE, "maintenance"): [
        "analyze table a",
        "check table a",
        "repair table my",
        "load index into cache my",
        "optimize table a",
    ],
    (Verdict.WRITE, "opaque_body"): [
        "call p_wr()",
        "begin not atomic insert into a(v) values(1); end",
    ],
    (Verdict.WRITE, "sequence"): [
        "select nextval(s)",
        "select next value for s",
        "select setval(s,5)",
        "select s.nextval",
    ],
    (Verdict.WRITE, "server_file"): [
        "select 1 into outfile '/tmp/x1'",
        "select 1 into dumpfile '/tmp/x2'",
        "select * into outfile '/tmp/x3' from a",
        "table a into outfile '/tmp/x4'",
        "load xml infile 'x' into table a",
        "select load_file('/etc/hostname')",
    ],
    (Verdict.WRITE, "unknown_function"): [
        "select wr(1)",
        "select t.wr(1)",
        "select `t`.`wr`(1)",
        "select `wr` (1)",
        "select wr (1)",
        "select/**/wr/**/(1)",
        "select WR(1)",
        "select t . wr(1)",
        "select 1 where wr(1)=1",
        "select * from a order by wr(1)",
        "select * from a group by wr(1)",
        "select case when wr(1) then 1 end",
        "select {fn wr(1)}",
        "select - wr(1)",
        "select not wr(1)",
        "select !wr(1)",
        "select distinct wr(1)",
        "select all wr(1)",
        "select sql_no_cache wr(1)",
        "select a.id from a join a b on wr(1)=b.id",
        "select binary wr(1)",
        "select interval wr(1) day + now()",
        "select sum(wr(1)) over (partition by id) from a",
        "select 1 /*!50000 , wr(1) */",
        "select 1 /*! , wr(1) */",
        "select 1 /*M! , wr(1) */",
        "select 1 /*M!100100 , wr(1) */",
        "select 1 /*!100100 , wr(1) */",
        "select 1--wr(1)",
        "select 1 --wr(1)",
        "select 'it\\'s', wr(1), 'x'",
        "select '\\'', wr(1), '\\''",
        "select 'a''b', wr(1)",
        "select 'a\\\\', wr(1)",
        "show tables where wr(1)",
        "explain select wr(1)",
        "do wr(1)",
        "select %s(1)",
        "values row(wr(1))",
        "select sys.ps_setup_save(1)",
        "select benchmark(1, wr(1))",
    ],
    (Verdict.WRITE, "unknown_statement"): [
        "signal sqlstate '45000'",
        "delimiter //",
        "source x.sql",
        "vacuum",
    ],
    (Verdict.WRITE, "write_statement"): [
        "insert into a(v) select 1",
        "update a set v = last_insert_id(v+1)",
        "insert into a(v) values (@x)",
        "replace into a(id) values (1)",
        "delete from a using a join t1",
        "with x as (select 1 id) delete from a where id in (select id from x)",
        "insert into a(v) values (1) on duplicate key update v=values(v)",
        "insert into a(v) values (1) returning id",
        "set statement max_statement_time=1 for insert into a(v) values(1)",
        "explain update a set v=1",
        "explain insert into a(v) values(1)",
        "explain delete from a",
        "explain analyze update a set v=1",
        "analyze update a set v=1",
        "truncate table a",
        "execute immediate 'insert into a(v) values(1)'",
        "prepare s from 'insert into a(v) values(1)'; execute s",
        "select 1; insert into a(v) values(1)",
        "insert into a(v) values(1); select 1",
    ],
    (Verdict.PIN, "administration"): [
        "set global max_connections=1, session sort_buffer_size=100000",
    ],
    (Verdict.PIN, "handler"): [
        "handler a read first",
    ],
    (Verdict.PIN, "lock_table"): [
        "lock tables a read",
        "lock table a write",
        "unlock tables",
        "lock instance for backup",
        "flush tables with read lock",
        "flush tables a for export",
        "lock tables a read; select 1; unlock tables",
    ],
    (Verdict.PIN, "opaque_query"): [
        "prepare s from @x",
    ],
    (Verdict.PIN, "script_begin"): [
        "begin; select 1; commit",
    ],
    (Verdict.PIN, "script_user_variable"): [
        "set @a=1; select 1",
    ],
    (Verdict.PIN, "session_state"): [
        "set insert_id=5",
    ],
    (Verdict.PIN, "temporary_object"): [
        "create temporary table x(i int)",
        "create temporary table if not exists x select 1",
        "create or replace temporary table x(i int)",
        "drop temporary table x",
    ],
    (Verdict.PIN, "unknown_function"): [
        "set @a=wr(1)",
    ],
    (Verdict.PIN, "user_lock"): [
        "select get_lock('a',1)",
        "select is_free_lock('a')",
        "select is_used_lock('a')",
        "select release_lock('a')",
        "select `get_lock`('a',1)",
        "do get_lock('a',0)",
        "insert into a(v) values (get_lock('a',0))",
        "create table y as select get_lock('a',1)",
    ],
    (Verdict.PIN, "user_variable"): [
        "select wr(1) into @a",
        "select id from a limit 1 for update into @x",
        "update a set v=(@x:=1)",
        "call p_ro(@x)",
        "do @a:=1",
    ],
    (Verdict.PIN, "xa"): [
        "xa begin 'x'",
        "xa end 'x'",
        "xa prepare 'x'",
        "xa commit 'x' one phase",
    ],
    (Verdict.SESSION, "deallocate"): [
        "deallocate prepare s",
        "drop prepare s",
    ],
    (Verdict.SESSION, "last_insert_id"): [
        "select last_insert_id(5)",
    ],
    (Verdict.SESSION, "prepare"): [
        "prepare s from 'select 1'",
    ],
    (Verdict.SESSION, "set"): [
        "set @a:=1, @b=2",
        "set names utf8mb4",
        "set character set utf8mb4",
        "set charset utf8mb4",
        "set session sql_mode='ANSI'",
        "set @@session.sql_mode='ANSI'",
        "set @@sql_mode='ANSI'",
        "set local sort_buffer_size=100000",
        "set autocommit=1",
        "set role none",
        "set time_zone='+00:00'",
        "set sql_mode=concat(@@sql_mode,',ANSI')",
        "set sql_log_bin=0",
        "set foreign_key_checks=0",
    ],
    (Verdict.SESSION, "set_characteristics"): [
        "set session transaction isolation level read committed",
        "set transaction_isolation='READ-COMMITTED'",
        "set session transaction_read_only = 1",
        "set @@session.tx_isolation = 'SERIALIZABLE'",
    ],
    (Verdict.SESSION, "set_consistency"): [
        "set aurora_replica_read_consistency='session'",
    ],
    (Verdict.SESSION, "use"): [
        "use t",
    ],
    (Verdict.SESSION, "user_variable"): [
        "select @a := 1",
        "select @rownum := @rownum + 1 from a",
        "select 1 into @a",
        "select 1, 2 into @a, @b",
        "select * from a limit 1 into @a, @b",
        "set @a=1",
        "set @a=(select max(id) from a)",
    ],
    (Verdict.TRANSACTION, "begin"): [
        "begin",
        "begin work",
        "start transaction read only",
        "start transaction read write",
    ],
    (Verdict.TRANSACTION, "commit"): [
        "commit",
        "commit and chain",
        "commit and no chain no release",
    ],
    (Verdict.TRANSACTION, "consistent_snapshot"): [
        "start transaction with consistent snapshot, read only",
    ],
    (Verdict.TRANSACTION, "release"): [
        "release savepoint s",
    ],
    (Verdict.TRANSACTION, "rollback"): [
        "rollback",
    ],
    (Verdict.TRANSACTION, "rollback_to"): [
        "rollback to s",
        "rollback work to savepoint s",
    ],
    (Verdict.TRANSACTION, "savepoint"): [
        "savepoint s",
    ],
    (Verdict.TRANSACTION, "set_transaction"): [
        "set transaction read only",
        "set @@transaction_isolation='READ-COMMITTED'",
    ],
}


@pytest.mark.parametrize(
    ("sql", "verdict", "reason"),
    [(sql, *key) for key, texts in CASES.items() for sql in texts],
)
def test_one_statement_has_its_verdict(sql, verdict, reason):
    statement = classify(sql)
    assert (statement.verdict, statement.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("sql", "action"),
    [
        ("begin", Begin()),
        ("start transaction read only", Begin(read_only=True)),
        ("start transaction with consistent snapshot", Begin()),
        ("commit and chain", Commit(chain=True)),
        ("rollback work", Rollback()),
        ("rollback to `S`", RollbackTo("s")),
        ("savepoint S", Savepoint("s")),
        ("set transaction isolation level read committed, read only",
         SetTransaction("read committed", read_only=True)),
        ("set session transaction read write", SetCharacteristics(read_only=False)),
        ("set @@tx_isolation = 'REPEATABLE-READ'", SetTransaction("repeatable read")),
        ("/* x */ SET Time_Zone = '+00:00' -- y",
         SetSetting("time_zone", "SET Time_Zone = '+00:00'", value="+00:00")),
        ("/*!40101 SET NAMES utf8 */;", SetSetting("names", "SET NAMES utf8", value="utf8")),
        ("SET @@session.autocommit = 0",
         SetSetting("autocommit", "SET @@session.autocommit = 0", value="0")),
        ("set sql_mode = %s", SetSetting("sql_mode", "set sql_mode = %s")),
        ("set sql_mode = default", ResetSetting("sql_mode", "set sql_mode = default")),
        ("set sql_mode = concat(@@sql_mode, ',ANSI')",
         SetSetting("sql_mode", "set sql_mode = concat(@@sql_mode, ',ANSI')")),
        ("set @a = -5", SetSetting("@a", "set @a = -5", value="-5")),
        ("set @`A b` := 'x'", SetSetting("@a b", "set @`A b` := 'x'", value="x")),
        ("set @a = 1, @b = 2", SetConfig(None, local=False, sql="set @a = 1, @b = 2")),
        ("set @a = now()", None),
        ("set @a = current_timestamp", None),
        ("set @a = @a + 1", None),
        ("set timestamp = unix_timestamp()", None),
        ("set sql_mode = (select version())", None),
        ("set @a = true", SetSetting("@a", "set @a = true", value="true")),
        ("set @a = _utf8'x'", SetSetting("@a", "set @a = _utf8'x'")),
        ("set sql_mode = ANSI", SetSetting("sql_mode", "set sql_mode = ANSI", value="ansi")),
        ("set sql_mode = @old", None),
        ("select 1 into @a", None),
        ("use `My Db`", SetSetting("database", "use `My Db`", value="My Db")),
        ("set aurora_replica_read_consistency = 'GLOBAL'", SetConsistency("global")),
        ("set @@aurora_replica_read_consistency = ''", SetConsistency(None)),
        ("set aurora_replica_read_consistency = default", SetConsistency("default")),
        ("SET @@Session.`Aurora_Replica_Read_Consistency` := \"session\"",
         SetConsistency("session")),
        ("set local aurora_replica_read_consistency=EVENTUAL",
         SetConsistency("eventual")),
        # What is no literal is for the session to refuse, and not the mode off.
        ("set aurora_replica_read_consistency = %s", SetConsistency("%s")),
        ("set aurora_replica_read_consistency = concat('Ses', 'sion')",
         SetConsistency("concat('ses', 'sion')")),
        ("select @@session.aurora_replica_read_consistency as mode",
         ShowConsistency("mode")),
        ("select @@autocommit mode", None),
        ("show variables where variable_name = 'aurora_replica_read_consistency'",
         ShowConsistency("aurora_replica_read_consistency")),
        ("show variables like 'aurora_replica_read_consistency'",
         ShowConsistency("aurora_replica_read_consistency")),
        ("select @@aurora_replica_read_consistency",
         ShowConsistency("aurora_replica_read_consistency")),
        ("select @@session.Autocommit", ShowSetting("autocommit")),
        ("select @@global.autocommit", None),
        ("set @a = next value for s", None),
        ("set autocommit = 0, sql_mode = ''",
         SetSetting("autocommit", "set autocommit = 0, sql_mode = ''")),
        ("set sql_mode = (select v from a)", None),
        ("start transaction with consistent snapshot, read only", Begin(read_only=True)),
        ("commit and no chain release", Commit()),
        ("show globaldb Lag", GlobaldbShow("lag")),
        ("explain route  select 1", ExplainRoute("select 1")),
        ("prepare S from 'select 1'",
         Prepare("s", Statement(Verdict.READ, "select", "SELECT"),
                 "prepare S from 'select 1'")),
        ("execute S using @a", Execute("s")),
        ("drop prepare s", Deallocate("s")),
    ],
)  # fmt: skip
def test_a_statement_that_the_session_must_understand_is_parsed(sql, action):
    assert classify(sql).action == action


FUNCTIONS = {
    "ro": Finding(Verdict.READ, "known_function"),
    "app.ro": Finding(Verdict.READ, "known_function"),
    "wr": Finding(Verdict.WRITE, "known_function"),
    "lk": Finding(Verdict.PIN, "known_function"),
}
RELATIONS = {
    "vw": Finding(Verdict.WRITE, "known_function"),
    "app.my vw": Finding(Verdict.WRITE, "known_function"),
    "my vw": Finding(Verdict.WRITE, "known_function"),
}
CHANGES = {"tr": Finding(Verdict.PIN, "temporary_object")}
CATALOG = Catalog(functions=FUNCTIONS, relations=RELATIONS, changes=CHANGES)


@pytest.mark.parametrize(
    ("sql", "verdict"),
    [
        ("select ro(1)", Verdict.READ),
        ("select RO (1), `Ro`(2), app.ro(3), `app`.`ro`(4)", Verdict.READ),
        ("select other.ro(1)", Verdict.WRITE),
        ("select wr(1)", Verdict.WRITE),
        ("select lk(1)", Verdict.PIN),
        ("select * from vw", Verdict.WRITE),
        ("select * from VW", Verdict.WRITE),
        ("select * from a join app.`My Vw` on true", Verdict.WRITE),
        ("select * from `my vw`", Verdict.WRITE),
        ("select * from (a, vw)", Verdict.WRITE),
        ("select vw.x from a vw", Verdict.READ),
        ("select 'vw' from a", Verdict.READ),
        ("call lk()", Verdict.PIN),
        ("call ro(1)", Verdict.WRITE),
        ("insert into tr values (1)", Verdict.PIN),
        ("insert into a values (1)", Verdict.WRITE),
    ],
)
def test_the_catalog_tells_what_no_text_shows(sql, verdict):
    assert classify(sql, CATALOG).verdict is verdict


@pytest.mark.parametrize(
    ("listed", "sql", "verdict"),
    [
        ({"write_functions": ["rand"]}, "select rand()", Verdict.WRITE),
        ({"read_functions": ["mine"]}, "select mine()", Verdict.READ),
        ({"read_functions": ["wr"]}, "select wr()", Verdict.READ),
    ],
)
def test_the_user_knows_better(listed, sql, verdict):
    assert classify(sql, CATALOG.with_options(**listed)).verdict is verdict


@pytest.mark.parametrize(
    ("dialect", "gate", "verdict"),
    [
        (Dialect(version=80034), "!80034", Verdict.WRITE),
        (Dialect(version=80034), "!80035", Verdict.READ),
        (Dialect(version=80034), "M!", Verdict.READ),
        (Dialect(version=90700), "!090700", Verdict.WRITE),
        (Dialect(mariadb=True, version=101106), "!80034", Verdict.READ),
        (Dialect(mariadb=True, version=101106), "M!80034", Verdict.WRITE),
        (Dialect(mariadb=True, version=101106), "!101106", Verdict.WRITE),
        (Dialect(mariadb=True, version=101106), "!110000", Verdict.READ),
        (Dialect(mariadb=True), "!80034", Verdict.READ),
        (Dialect(), "!80034", Verdict.WRITE),
        (Dialect(), "!99999", Verdict.READ),
        (Dialect(), "!", Verdict.WRITE),
    ],
)
def test_a_server_reads_executable_comments_of_its_versions(dialect, gate, verdict):
    assert (
        classify(f"select 1 /*{gate} for update */", dialect=dialect).verdict is verdict
    )


@pytest.mark.parametrize(
    "sql",
    [
        "select 1 /*M!999999 /* */, wr(1) -- */",
        "select 1 /*!50000 /* */, wr(1) */",
        "select 1 /*!99999 /* */ */, wr(1)",
        "select 1 /*!90000 , 2 /* */ */, wr(1)",
    ],
)
def test_what_stands_behind_a_nested_comment_is_read(sql):
    assert classify(sql).verdict is Verdict.WRITE


def test_a_name_in_double_quotes_is_one_where_the_server_says_so():
    sql = 'savepoint "S"'
    assert classify(sql).reason == "unknown_statement"
    assert classify(sql, dialect=Dialect(ansi_quotes=True)).action == Savepoint("s")


def test_the_first_of_equal_readings_is_that_of_the_server():
    sql = "set @a = 'x\\', @b = '\\'"
    script = "set @a = '\\'; -- '"
    assert classify(sql).verdict is Verdict.SESSION
    assert classify(script).verdict is Verdict.SESSION
    plain = classify(script, dialect=Dialect(backslash_escapes=False))
    assert plain.action == SetSetting("@a", "set @a = '\\'")


def test_a_text_of_many_versions_is_not_tried_in_every_way():
    gates = "".join(f"/*!{version} , 1 */" for version in range(80000, 80040))
    assert classify(f"select 1 {gates}").verdict is Verdict.WRITE


@pytest.mark.parametrize(
    ("sql", "verdict"),
    [
        ("select 'it\\'s'", Verdict.READ),
        ("select 'a\\'', wr(1), '\\'b'", Verdict.WRITE),
        ("select 'a\\', wr(1), 'b'", Verdict.WRITE),
        ('select "a\\", wr(1), "b"', Verdict.WRITE),
        ("select 'it\\'s; drop table a'", Verdict.READ),
        ("select 'it\\'; drop table a; -- '", Verdict.WRITE),
        ("insert into a values ('\\'); lock tables a read; -- ')", Verdict.PIN),
        ('select "wr"(1)', Verdict.WRITE),
        ("select * from a for\xa0update", Verdict.WRITE),
        ("select 'a\xa0for update'", Verdict.READ),
        ("select `count`(1)", Verdict.WRITE),
    ],
)
def test_a_text_that_modes_read_differently_gets_the_graver_verdict(sql, verdict):
    assert classify(sql).verdict is verdict


@pytest.mark.parametrize(
    ("sql", "verdict", "reason"),
    [
        ("prepare s from 'select 1'; execute s", Verdict.READ, "select"),
        ("prepare s from 'select 1'; execute other", Verdict.PIN, "script_prepare"),
        ("set @q='drop table a'; prepare s from @q; execute s", Verdict.WRITE, "opaque_query"),
        ("set @q='x'; set @z=1; prepare s from @q; execute s", Verdict.PIN, "script_user_variable"),
        ("select 1; set @a = 1", Verdict.PIN, "script_user_variable"),
        ("select 1; insert into a values (1)", Verdict.WRITE, "write_statement"),
        ("select 1; drop table 'x", Verdict.READ, "select"),
        ("drop table x; select 'x", Verdict.WRITE, "definition"),
    ],
)  # fmt: skip
def test_a_script_is_what_its_statements_are_together(sql, verdict, reason):
    statement = classify(sql)
    assert (statement.verdict, statement.reason) == (verdict, reason)
    assert statement.multiple


@pytest.mark.parametrize(
    ("sql", "verdict"),
    [
        ("create procedure p() begin if 1 then set @x=1; end if; end", Verdict.WRITE),
        ("create trigger t before insert on a for each row begin select get_lock('a',1); end;",
         Verdict.WRITE),
        ("create procedure p() begin select 1; end; set @x = 1", Verdict.PIN),
        ("create procedure p() select 1; set @x = 1", Verdict.PIN),
        ("begin not atomic set @x = 1; end", Verdict.PIN),
        ("if 1 then insert into a values (1); end if", Verdict.WRITE),
    ],
)  # fmt: skip
def test_a_body_is_not_done_where_it_is_defined(sql, verdict):
    assert classify(sql).verdict is verdict


@pytest.mark.parametrize(
    ("sql", "defines"),
    [
        ("create table a (i int)", Defines.DATA),
        ("create view v as select 1", Defines.CODE),
        ("create procedure p() begin set @x = 1; end", Defines.CODE),
        ("rename table v to w", Defines.CODE),
        ("create table a (i int) engine=FEDERATED", Defines.CODE),
        ("drop view v", Defines.DATA),
        ("truncate a", Defines.NOTHING),
        ("insert into a values (1)", Defines.NOTHING),
        ("insert into a values (1); create view v as select 1", Defines.CODE),
    ],
)
def test_a_definition_tells_what_it_changes(sql, defines):
    assert classify(sql).defines is defines


def test_a_value_that_writes_keeps_its_connection():
    assert classify("set @a = next value for s").verdict is Verdict.PIN
    assert classify("set sql_mode = wr(1)").verdict is Verdict.PIN


def test_bytes_are_read_as_text_is():
    assert classify(b"select '\xff' for update").reason == "locking_clause"
    assert classify("select 'é'".encode()) == classify("select 'é'")


ROWS = ",".join(["(1,'it\\'s; \"x\"',2.5)"] * (LONGEST // 20))


@pytest.mark.parametrize(
    ("sql", "verdict", "reason"),
    [
        (f"INSERT INTO a VALUES {ROWS}", Verdict.WRITE, "write_statement"),
        (f"INSERT INTO a VALUES {ROWS}; SET @a = 1", Verdict.PIN, "too_long"),
        (f"INSERT INTO a VALUES {ROWS},(get_lock('a', 1))", Verdict.PIN, "too_long"),
        (f"CREATE TABLE a VALUES {ROWS}", Verdict.WRITE, "too_long"),
        (f"SELECT * FROM a WHERE b IN ({ROWS})", Verdict.WRITE, "too_long"),
        (f"SELECT 1 IN ({'1,' * LONGEST} 1)", Verdict.READ, "select"),
    ],
    ids=range(6),
)
def test_a_text_of_megabytes_is_judged_from_afar(sql, verdict, reason):
    statement = classify(sql)
    assert (statement.verdict, statement.reason) == (verdict, reason)
