"""What a node of MySQL or MariaDB says of itself, and what it can be asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import pytest
from mysql_family import admin, each_engine
from mysql_trips import HOME, READER, link, trips, went
from promises import WRITER

from globaldb.core.fence import Means, Question
from globaldb.core.gtid import GtidSet, MariadbGtid
from globaldb.core.position import Position
from globaldb.core.topology import Role
from globaldb.dbapi.mysql.results import of_rows
from globaldb.drivers.pymysql import position, probe
from globaldb.drivers.pymysql.driver import PymysqlDriver
from globaldb.drivers.pymysql.physical import Physical
from globaldb.lab import Lab

pytestmark = [pytest.mark.lab, each_engine]


@pytest.fixture(scope="module")
def lab(shared_labs: Callable[[str], Lab], engine: str) -> Lab:
    found = shared_labs(engine)
    found.restore()
    return found


@contextmanager
def watching(lab: Lab, node: str) -> Iterator[Physical]:
    """A connection of who may see what a server replicates."""
    options = lab.options(HOME, node, superuser=True)
    with link(lab, node, user=options["user"], password=options["password"]) as found:
        yield found


def test_a_writer_says_what_it_has_and_a_reader_how_far_it_is(lab):
    with link(lab) as writer, link(lab, READER) as reader:
        of_writer = probe.sample(writer, writer.facts)
        asked = Question(Means.WAIT_FOR_GTID, of_writer.reached, 5.0)
        assert went(reader, None, guard=asked).reply.reached
        of_reader = probe.sample(reader, reader.facts)
    kind = MariadbGtid if writer.mariadb else GtidSet
    assert (of_writer.role, of_reader.role) == (Role.WRITER, Role.READER)
    assert isinstance(of_writer.position, kind)
    assert of_reader.position.covers(of_writer.position)
    assert of_writer.history.last(of_writer.source) > 0
    assert (of_reader.history, of_reader.clock) == (None, None)
    assert of_writer.source != of_reader.source
    assert of_writer.clock > 1.7e9
    assert writer.standby is False
    assert reader.standby is True


def test_what_each_can_be_asked_is_found_by_asking(lab):
    with link(lab) as writer, link(lab, READER) as reader:
        assert writer.facts.now.means == {Means.GTID, Means.LAG}
        assert reader.facts.now.means >= {Means.GTID, Means.WAIT_FOR_GTID}
        assert not reader.facts.now.reports_lag
        assert writer.facts.now.version == writer.version > 50000


def test_a_probe_is_one_round_trip(lab):
    with link(lab) as writer:
        before = trips(lab, writer)
        probe.sample(writer, writer.facts)
        assert trips(lab, writer) == before + 1


def test_who_may_see_it_is_told_the_lag(lab):
    with watching(lab, READER) as reader:
        assert Means.LAG in reader.facts.now.means
        asked = Question(Means.LAG, Position(moment=1.0))
        done = went(reader, "SELECT 1", guard=asked)
        assert done.rows == [((1,),)]
        assert 1 <= done.reply.lag < 60


def test_a_server_that_follows_another_is_a_reader_whatever_it_allows(lab):
    off = ["SET GLOBAL read_only = 0"]
    on = ["SET GLOBAL read_only = 1"]
    with watching(lab, READER) as reader, admin(lab, READER) as cursor:
        if not reader.mariadb:
            on = ["SET GLOBAL super_read_only = 1"]
        try:
            for sql in off:
                cursor.execute(sql)
            assert probe.sample(reader, reader.facts).role is Role.READER
        finally:
            for sql in on:
                cursor.execute(sql)


def test_a_node_that_has_become_another_is_looked_at_again(lab):
    with link(lab, READER) as reader, link(lab) as writer:
        # What was found while it was a reader, on a server that is the writer now.
        writer.facts.abilities = reader.facts.abilities
        sample = probe.sample(writer, writer.facts)
        assert sample.role is Role.WRITER
        assert writer.facts.now.standby is False


def test_a_lost_connection_is_no_refusal(lab):
    with link(lab) as writer:
        writer.give_up()
        with pytest.raises(Exception, match=r"2013|2006"):
            probe.sample(writer, writer.facts)


@pytest.mark.parametrize(
    "setting",
    ["sql_select_limit = 0", "timestamp = 1000000", "character_set_results = utf16"],
)
def test_the_last_borrowers_settings_have_no_say(lab, setting):
    with link(lab, WRITER) as writer:
        went(writer, f"SET SESSION {setting}")
        writer.settings = ((setting.partition(" ")[0], f"SET SESSION {setting}"),)
        sample = PymysqlDriver().sample(writer, monotonic() + 5)
        assert sample.position
        assert sample.clock > 1.7e9


def test_a_stopped_clock_tells_no_moment_behind_a_read(lab):
    with link(lab, WRITER) as writer:
        went(writer, "SET SESSION timestamp = 1000000")
        writer.settings = (("timestamp", "SET SESSION timestamp = 1000000"),)
        found = went(writer, "SELECT 1", capture=True).reply.position
        assert (bool(found.log), found.moment) == (True, None)


def test_a_read_without_rows_allowed_has_no_position(lab):
    with link(lab, WRITER) as writer:
        went(writer, "SET SESSION sql_select_limit = 0")
        done = went(writer, "SELECT 1", capture=True)
        assert done.reply.done
        assert done.reply.position is None or done.reply.position.log is None


# Answers that no lab gives.


def status(**row: Any) -> Any:
    kinds = [(name, str) for name in row]
    return of_rows(kinds, [tuple(row.values())])


@pytest.mark.parametrize(
    ("row", "follows"),
    [
        ({"Replica_IO_Running": "Yes", "Replica_SQL_Running": "No"}, True),
        ({"Slave_IO_Running": "Connecting", "Slave_SQL_Running": "No"}, True),
        ({"Slave_IO_Running": "No", "Slave_SQL_Running": "Yes"}, True),
        ({"Replica_IO_Running": "No", "Replica_SQL_Running": "No"}, False),
    ],
)
def test_a_server_follows_while_it_receives_or_applies(engine, row, follows):
    assert position.replicates(status(**row)) is follows


def test_a_server_without_a_source_follows_nobody(engine):
    assert not position.replicates(of_rows([("Slave_IO_Running", str)], []))


@pytest.mark.parametrize(
    ("result", "seconds"),
    [
        (of_rows([("MAX(visibility_lag_in_msec)", int)], [(250,)]), 0.25),
        (of_rows([("MAX(visibility_lag_in_msec)", int)], [(None,)]), None),
        (status(Channel="", Seconds_Behind_Source="0"), 1.0),
        (status(Channel="", Seconds_Behind_Master="3"), 4.0),
        (status(Channel="", Seconds_Behind_Master=None), None),
        (of_rows([("a", str), ("b", str)], []), None),
    ],
)
def test_a_lag_is_told_in_milliseconds_or_in_whole_seconds(engine, result, seconds):
    assert position.seconds_behind(result) == seconds
