"""One round trip to MySQL and MariaDB: what it holds, and what its reply says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from mysql_family import admin, each_engine, table
from mysql_trips import READER, link, trips, went
from promises import WRITER
from pymysql import err

from globaldb.core.fence import HOW_FAR, Means, Question
from globaldb.core.gtid import GtidSet
from globaldb.core.position import Position
from globaldb.core.trip import LinkStatus, Reply, Trip
from globaldb.drivers.pymysql.physical import Physical
from globaldb.drivers.pymysql.repeat import Recording
from globaldb.drivers.pymysql.wire import Call, travel
from globaldb.lab import Lab

pytestmark = [pytest.mark.lab, each_engine]

BEGIN = ("START TRANSACTION",)


@pytest.fixture(scope="module")
def lab(shared_labs: Callable[[str], Lab], engine: str) -> Lab:
    found = shared_labs(engine)
    found.restore()
    table(found, "trip", "id int primary key, v varchar(50) not null")
    return found


@pytest.fixture
def writer(lab: Lab) -> Iterator[Physical]:
    with admin(lab) as cursor:
        cursor.execute("DELETE FROM app.trip")
        cursor.execute("INSERT INTO app.trip VALUES (1, 'one'), (2, 'two')")
    with link(lab) as physical:
        yield physical


@pytest.fixture
def reader(lab: Lab) -> Iterator[Physical]:
    with link(lab, READER) as physical:
        yield physical


def put(writer: Physical, number: int, **trip: Any) -> Any:
    return went(writer, f"INSERT INTO trip VALUES ({number}, 'x')", **trip)


# Together.


def test_settings_begin_and_a_statement_are_one_round_trip(lab, writer):
    before = trips(lab, writer)
    done = put(writer, 5, before=("SET @a = 1", *BEGIN, "SAVEPOINT s"))
    assert trips(lab, writer) == before + 1
    assert (done.rows, done.reply.prepared, done.reply.done) == ([1], True, True)
    assert writer.link_status is LinkStatus.OPEN


def test_a_commit_and_the_position_behind_it_are_one_round_trip(lab, writer):
    put(writer, 5, before=BEGIN)
    before = trips(lab, writer)
    reply = went(writer, b"COMMIT", capture=True).reply
    assert trips(lab, writer) == before + 1
    assert reply.position.log
    assert writer.link_status is LinkStatus.IDLE


def test_a_write_brings_its_own_position_and_nothing_travels_behind_it(lab, writer):
    first = put(writer, 5, capture=True).reply.position.log
    second = put(writer, 6, capture=True).reply.position.log
    whole = went(writer, None, capture=True).reply.position.log
    assert not first.covers(second)
    assert whole.covers(first)
    assert whole.covers(second)
    if isinstance(first, GtidSet):
        assert first.size == second.size == 1


def test_a_write_keeps_the_warnings_it_has_left(writer):
    went(writer, "SET SESSION sql_mode = ''")
    call = went(writer, "INSERT INTO trip VALUES (7, NULL), (8, 'x')", capture=True)
    [result] = call.call.results
    assert result.warning_count == 1
    [[(_, number, _)]] = went(writer, "SHOW WARNINGS").rows
    assert number == 1048


def test_a_read_at_the_writer_is_followed_by_the_question(lab, writer):
    before = trips(lab, writer)
    done = went(writer, "SELECT v FROM trip WHERE id = 1;", capture=True)
    assert trips(lab, writer) == before + 1
    assert done.rows == [(("one",),)]
    assert done.reply.position.log
    assert done.reply.position.moment > 1.7e9


def test_counted_rows_stay_counted(writer):
    went(writer, "SELECT SQL_CALC_FOUND_ROWS 1 FROM trip LIMIT 1", capture=True)
    assert went(writer, "SELECT FOUND_ROWS()", capture=True).rows == [((2,),)]


def test_what_changes_nothing_has_no_position(writer):
    done = went(writer, "SET @a = 1", capture=True)
    assert (done.rows, done.reply.done, done.reply.position) == ([0], True, None)


def test_a_comment_at_the_end_swallows_nothing(writer):
    done = went(writer, "SELECT 1 -- one", before=("SET @a = 1 # a",), capture=True)
    assert done.rows == [((1,),)]
    assert done.reply.position is not None


def test_without_joining_everything_still_goes_in_order(lab):
    with link(lab, multi_statements=False) as apart:
        before = trips(lab, apart)
        done = went(apart, "SELECT @a", before=("SET @a = 1", *BEGIN), capture=True)
        assert trips(lab, apart) == before + 4
        assert done.rows == [((1,),)]
        assert done.reply.position.log


# Failures.


def test_a_failure_in_front_leaves_the_statement_out(lab, writer):
    done = put(writer, 5, before=("SET no_such_variable = 1",))
    assert (done.number, done.reply.prepared, done.reply.done) == (1193, False, False)
    assert went(writer, "SELECT 1 FROM trip WHERE id = 5").rows == [()]


def test_a_failed_statement_was_prepared_for(writer):
    done = put(writer, 1, before=BEGIN, capture=True)
    assert (done.number, done.reply.prepared, done.reply.done) == (1062, True, False)
    assert done.reply.position is None
    assert writer.link_status is LinkStatus.OPEN


def test_a_duplicate_key_in_a_transaction_costs_no_question(lab, writer):
    went(writer, "SELECT 1", before=BEGIN)
    before = trips(lab, writer)
    put(writer, 1)
    assert trips(lab, writer) == before + 1


def test_a_deadlock_is_known_to_have_ended_the_transaction(lab, writer):
    with link(lab) as other:
        went(writer, "UPDATE trip SET v = 'a' WHERE id = 1", before=BEGIN)
        went(other, "UPDATE trip SET v = 'b' WHERE id = 2", before=BEGIN)
        other.send([b"UPDATE trip SET v = 'b' WHERE id = 1"])
        found = went(writer, "UPDATE trip SET v = 'a' WHERE id = 2")
        victim = writer if found.reply.error else other
        if victim is other:
            with pytest.raises(Exception, match="Deadlock"):
                other.next_result()
            other.ping()
        else:
            assert found.number == 1213
            other.next_result()
        assert victim.link_status is LinkStatus.IDLE


def test_a_failed_definition_is_known_to_have_committed(writer):
    put(writer, 5, before=BEGIN)
    done = went(writer, "CREATE TABLE trip (n int)")
    assert done.number == 1050
    assert writer.link_status is LinkStatus.IDLE


def test_a_read_that_begins_a_transaction_is_seen_to(writer):
    went(writer, "SET autocommit = 0")
    went(writer, "SELECT * FROM trip")
    assert writer.link_status is LinkStatus.OPEN
    went(writer, b"COMMIT")
    assert writer.link_status is LinkStatus.IDLE


def test_a_procedure_that_leaves_a_transaction_open_is_found_out(lab, writer):
    went(writer, "DROP PROCEDURE IF EXISTS leaves_open")
    body = "BEGIN START TRANSACTION; INSERT INTO trip VALUES (1, 'x'); END"
    assert went(writer, f"CREATE PROCEDURE leaves_open() {body}", alone=True).reply.done
    assert went(writer, "CALL leaves_open()", alone=True).number == 1062
    assert writer.link_status is LinkStatus.OPEN


def test_a_number_beyond_32767_is_what_the_server_said(writer):
    signal = "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 63976, MESSAGE_TEXT = 'far'"
    error = went(writer, signal).reply.error
    assert error.args == (63976, "far")
    assert type(error).__name__ == "OperationalError"
    assert error.sqlstate == "45000"


def test_a_killed_connection_is_lost_and_says_so(lab, writer):
    with admin(lab) as cursor:
        cursor.execute(f"KILL {writer.thread_id()}")
    try:
        error = went(writer, "SELECT 1").reply.error
    except err.OperationalError as lost:
        error = lost
    assert error.args[0] in (1927, 2006, 2013, 4031)
    assert writer.link_status is LinkStatus.LOST
    with pytest.raises(Exception, match="the connection is closed"):
        went(writer, "SELECT 1")


# Several statements in one text.


def test_several_statements_are_refused_to_who_did_not_ask(writer):
    done = went(writer, "SELECT 1; DELETE FROM trip")
    assert done.number == 1064
    assert went(writer, "SELECT COUNT(*) FROM trip").rows == [((2,),)]


@pytest.mark.parametrize(
    "sql",
    [
        r"SELECT '\'; DELETE FROM trip; -- '",
        r"""SELECT "\"; DELETE FROM trip; -- " """,
        "SELECT 1 /*!; DELETE FROM trip */",
        "SELECT 1; -- \n DELETE FROM trip",
        "SELECT 'x;",
    ],
)
@pytest.mark.parametrize("mode", ["", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES"])
def test_no_way_of_quoting_brings_a_second_statement_in(writer, sql, mode):
    for before in ((f"SET SESSION sql_mode = '{mode}'", *BEGIN), ()):
        went(writer, sql, before=before, capture=True)
        assert went(writer, "SELECT COUNT(*) FROM trip").rows == [((2,),)]


@pytest.mark.parametrize("how", ["query", "cursor"])
def test_no_other_way_to_send_brings_a_second_statement_in(writer, how):
    went(writer, "SELECT 1", before=BEGIN)  # the server takes several at this moment
    send = writer.query if how == "query" else writer.cursor().execute
    for again in (writer.ping, writer.reset):
        with pytest.raises(Exception, match="1064"):
            send("SELECT 1; DELETE FROM trip")
        again()
    assert went(writer, "SELECT COUNT(*) FROM trip", before=BEGIN).rows == [((2,),)]


def test_a_semicolon_in_a_value_costs_nothing(lab, writer):
    writer.settings = (("@a", "SET @a = 1"),)
    before = trips(lab, writer)
    done = went(writer, r"INSERT INTO trip VALUES (9, 'it\'s; \"so\"')", before=BEGIN)
    assert (done.rows, trips(lab, writer)) == ([1], before + 1)


def test_a_routine_with_a_body_is_one_statement(writer):
    went(writer, "DROP PROCEDURE IF EXISTS three")
    body = "BEGIN SELECT 1; SELECT 2; UPDATE trip SET v = 'z'; END"
    assert went(writer, f"CREATE PROCEDURE three() {body}", alone=True).reply.done
    done = went(writer, "CALL three()", alone=True, capture=True)
    assert done.rows == [((1,),), ((2,),), 2]
    assert done.reply.position.log


def test_a_script_of_who_asked_for_it_runs_whole(lab):
    with link(lab, client_flag=1 << 16) as scripts:
        done = went(scripts, "SELECT 1; SET @a = 2; SELECT @a", script=True)
        assert done.rows == [((1,),), 0, ((2,),)]


def test_what_fails_behind_an_answer_is_kept_for_it(lab):
    with link(lab, client_flag=1 << 16) as scripts:
        done = went(scripts, "SELECT 1; SELECT nope; SELECT 3", script=True)
        assert (done.rows, done.reply.error) == ([((1,),)], None)
        assert done.call.later.args[0] == 1054
        assert went(scripts, "SELECT 4").rows == [((4,),)]


def test_an_empty_statement_is_refused_as_the_server_does(writer):
    done = went(writer, "", before=BEGIN)
    assert (done.number, done.reply.prepared) == (1065, True)
    assert writer.link_status is LinkStatus.OPEN


def test_an_unbuffered_answer_stays_on_the_wire(writer):
    call = Call(b"SELECT id FROM trip ORDER BY id", unbuffered=True)
    went(writer, call, before=BEGIN, capture=True)
    [result] = call.results
    assert result.unbuffered_active
    fetched = iter(result._read_rowdata_packet_unbuffered, None)
    assert list(fetched) == [(1,), (2,)]
    assert went(writer, "SELECT 1").rows == [((1,),)]


def test_a_local_file_is_sent_where_that_was_allowed(lab, writer, tmp_path):
    with admin(lab) as cursor:
        cursor.execute("SET GLOBAL local_infile = ON")
    path = tmp_path / "rows"
    path.write_text("21\ta\n22\tb\n")
    load = f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE trip"
    with link(lab, local_infile=True) as loading:
        assert went(loading, load, before=BEGIN).rows == [2]
        gone = went(loading, load.replace("rows", "none"))
        assert gone.number == 1017
        assert went(loading, "SELECT COUNT(*) FROM trip").rows == [((4,),)]
    assert went(writer, load).reply.error is not None
    assert not writer.closed


# Made again.


def recorded(physical: Physical, sql: str, *, ordered: bool = False) -> Recording:
    done = went(physical, sql)
    return Recording(done.call, sql, ordered=ordered, compared=True)


def test_what_is_made_again_and_answers_the_same_changes_nothing(lab, writer, reader):
    put_back = went(writer, None, capture=True).reply.position
    guard = Question(Means.WAIT_FOR_GTID, put_back, 5.0)
    went(reader, None, guard=guard)
    reading = recorded(reader, "SELECT * FROM trip ORDER BY id DESC")
    before = trips(lab, writer)
    done = put(writer, 5, before=BEGIN, repeats=("SAVEPOINT a", reading))
    assert trips(lab, writer) == before + 1
    assert (done.reply.changed, done.rows) == (None, [1])
    assert (reading.rows, reading.size) == (2, 22)


def test_what_answers_otherwise_is_named(writer):
    reading = recorded(writer, "SELECT v FROM trip")
    put(writer, 5)
    assert put(writer, 6, before=BEGIN, repeats=(reading,)).reply.changed == (
        "SELECT v FROM trip"
    )


@pytest.mark.parametrize(("ordered", "changed"), [(True, "SELECT"), (False, None)])
def test_the_order_of_rows_counts_where_it_was_asked_for(writer, ordered, changed):
    done = went(writer, "SELECT id FROM trip ORDER BY id")
    call = Call(b"SELECT id FROM trip ORDER BY id DESC")
    call.results = done.call.results
    reading = Recording(call, "SELECT", ordered=ordered, compared=True)
    assert went(writer, None, before=BEGIN, repeats=(reading,)).reply.changed == changed


def test_what_fails_when_made_again_is_named_and_ends_the_trip(writer):
    done = put(writer, 5, before=BEGIN, repeats=("SAVEPOINT a", "RELEASE SAVEPOINT b"))
    reply = done.reply
    assert (reply.changed, done.number) == ("RELEASE SAVEPOINT b", 1305)
    assert (reply.prepared, reply.done) == (True, False)


# Readers.


def test_a_reader_waits_for_a_position_and_reads_in_one_round_trip(lab, writer, reader):
    position = put(writer, 31, capture=True).reply.position
    before = trips(lab, reader)
    guard = Question(Means.WAIT_FOR_GTID, position, 5.0)
    done = went(reader, "SELECT v FROM trip WHERE id = 31", guard=guard)
    assert trips(lab, reader) == before + 1
    assert (done.reply.reached, done.rows) == (True, [(("x",),)])


def test_a_reader_tells_how_far_it_is(writer, reader):
    position = put(writer, 31, capture=True).reply.position
    went(reader, None, guard=Question(Means.WAIT_FOR_GTID, position, 5.0))
    for guard in (HOW_FAR, Question(Means.GTID, position)):
        reply = went(reader, None, guard=guard).reply
        assert reply.replayed.covers(position.log)


def test_a_wait_ends_when_its_patience_does(lab, writer, reader):
    log = went(writer, None, capture=True).reply.position.log
    [name] = {str(log).rpartition(":" if isinstance(log, GtidSet) else "-")[0]}
    far = type(log).parse(f"{name}{':' if isinstance(log, GtidSet) else '-'}999999")
    guard = Question(Means.WAIT_FOR_GTID, Position(far), 0.0)
    assert went(reader, "SELECT 1", guard=guard).reply.reached is False


def test_a_question_the_reader_refuses_leaves_the_statement_out(reader):
    class Nonsense:
        def __str__(self) -> str:
            return "no position"

    guard = Question(Means.WAIT_FOR_GTID, Position(Nonsense()), 0.1)  # type: ignore[arg-type]
    done = went(reader, "SELECT 1", guard=guard)
    assert done.reply.guard_problem is not None
    assert (done.reply.error, done.reply.done, done.rows) == (None, False, [])
    assert went(reader, "SELECT 1").rows == [((1,),)]


def test_a_write_at_a_reader_is_refused_and_shows_what_it_is(reader):
    reader.standby = False
    assert put(reader, 5).number == 1290
    assert reader.standby


def test_a_read_where_nobody_writes_any_more_does_not_count(reader):
    reader.standby = False
    done = went(reader, "SELECT 1", capture=True)
    assert (done.number, done.reply.done, done.rows) == (1290, False, [])
    assert reader.standby
    assert went(reader, None, capture=True).number == 1290


def test_a_bare_question_tells_whether_a_standby_still_is_one(writer, reader):
    for physical, is_standby in ((writer, False), (reader, True)):
        physical.standby = True
        assert went(physical, b"SELECT 1").reply.done
        assert physical.standby is is_standby


# Values.


def test_rows_are_read_as_the_application_wants_them(writer):
    class Face:
        encoding = "utf8"
        use_unicode = False
        decoders: ClassVar[Any] = {3: lambda value: f"<{value.decode()}>"}

    call = Call(b"SELECT id, v FROM trip WHERE id = 1", Face())
    went(writer, call, capture=True)
    assert call.results[0].rows == (("<1>", b"one"),)
    assert went(writer, "SELECT id, v FROM trip WHERE id = 1").rows == [((1, "one"),)]


def test_a_statement_interrupted_in_the_middle_closes_the_connection(writer):
    class Face:
        encoding, use_unicode = "utf8", True

        @property
        def decoders(self) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        travel(writer, Call(b"SELECT 1", Face()), Trip(), Reply())
    assert writer.link_status is LinkStatus.LOST


def test_a_statement_of_many_packets_arrives_whole(lab, writer):
    with admin(lab) as cursor:
        cursor.execute("SET GLOBAL max_allowed_packet = 67108864")
    with link(lab, WRITER) as wide:
        size = 17 * 1024 * 1024
        text = f"SELECT LENGTH('{'x' * size}')"
        assert went(wide, text, before=BEGIN).rows == [((size,),)]


def test_where_no_change_is_reported_a_semicolon_is_never_certain(writer):
    writer.reports, writer.settings = False, (("names", "SET NAMES gbk"),)
    assert writer.companionable(b"SELECT ';'") is None
    assert went(writer, "SELECT ';'", before=BEGIN).rows == [((";",),)]
    assert went(writer, "SELECT 1; SELECT 2").number == 1064
