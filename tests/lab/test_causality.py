"""After a promotion a session goes on where it was, or is told that it cannot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from promises import FAR, HOME, admin, cluster, one, table, until, within

import globaldb
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

#: A reader beside the writer, so that there is one beside each writer to come.
SPEC = LabSpec(regions={HOME: 1, FAR: 1}, rtt={(HOME, FAR): 0.02})
OFTEN = {"probe_interval": 0.1}
Connection = Any


@pytest.fixture(scope="module")
def moving() -> Iterator[Lab]:
    with Lab.start(SPEC) as lab:
        yield lab


@pytest.fixture
def lab(moving: Lab) -> Lab:
    """A lab at rest whose writer is in HOME, on whatever timeline."""
    moving.restore()
    if moving.writer().region != HOME:
        moving.switchover(HOME)
    table(moving, "c_t")
    return moving


def put(conn: Connection, key: int) -> None:
    conn.execute("INSERT INTO c_t VALUES (%s)", (key,))


def count(conn: Connection) -> int:
    return int(one(conn.execute("SELECT count(*) FROM c_t"))[0])


def reason(conn: Connection) -> str:
    return str(conn.last_route.reason)


def epoch(lab: Lab) -> int:
    with admin(lab, lab.writer().name) as writer:
        name = one(writer.execute("SELECT pg_walfile_name(pg_current_wal_lsn())"))[0]
    return int(str(name)[:8], 16)


def followed(found: globaldb.Cluster, timeline: int) -> None:
    """Wait until *found* believes in *timeline*, and every node answers."""

    def all_there() -> bool:
        topology = found.topology
        return topology.epoch >= timeline and all(
            node.reachable for node in topology.nodes.values()
        )

    until(all_there, 30)


def seen_replayed(found: globaldb.Cluster, conn: Connection, region: str) -> None:
    """Wait until the monitor has seen what *conn* wrote at every reader in *region*."""
    floor = conn.session.books.floor.log

    def there() -> bool:
        return all(
            node.position is not None and node.position.covers(floor)
            for node in found.topology.nodes.values()
            if node.region == region
        )

    until(there)


def lose_a_write(lab: Lab, *conns: Connection) -> None:
    """Have each of *conns* write what its writer acknowledges and nobody else gets."""
    lab.partition(HOME, FAR)
    for number, conn in enumerate(conns, start=100):
        put(conn, number)
    lab.failover(FAR)
    lab.heal()


# Nothing is lost.


def test_after_a_switchover_reads_are_local_again_without_a_visit_to_the_writer(
    lab: Lab,
) -> None:
    with cluster(lab, HOME, **OFTEN) as found:
        conns = [found.connect() for _ in range(5)]
        for key, conn in enumerate(conns):
            put(conn, key)
        for conn in conns:
            seen_replayed(found, conn, FAR)
        lab.switchover(FAR)
        followed(found, epoch(lab))
        for conn in conns:
            assert count(conn) == 5
            assert (conn.last_route.role.value, reason(conn)) == (
                "reader",
                "nearest_reader",
            )
            assert conn.last_route.required is not None
            conn.close()


def test_a_switchover_loses_nothing_of_what_was_written_up_to_it(lab: Lab) -> None:
    """What nobody saw replayed goes to the writer, which has it: no error."""
    with cluster(lab, HOME, **OFTEN) as found, found.connect() as conn:
        stop, failures, seen = threading.Event(), [], []

        def work() -> None:
            key = 0
            while not stop.is_set():
                try:
                    put(conn, key)
                    key += 1
                    seen.append(count(conn) >= key)
                except globaldb.CausalityLostError as error:
                    failures.append(error)
                except globaldb.Error:
                    pass

        thread = threading.Thread(target=work)
        thread.start()
        until(lambda: len(seen) > 5)
        lab.switchover(FAR)
        followed(found, epoch(lab))
        before = len(seen)
        until(lambda: len(seen) > before + 5)
        stop.set()
        thread.join()
        assert failures == []
        assert all(seen)


def test_a_token_from_before_a_switchover_is_honoured_locally(lab: Lab) -> None:
    with cluster(lab, HOME, **OFTEN) as found:
        with found.connect() as conn:
            put(conn, 1)
            token = conn.token
            seen_replayed(found, conn, FAR)
        lab.switchover(FAR)
        followed(found, epoch(lab))
        with found.connect() as conn:
            conn.observe(token)
            assert count(conn) == 1
            assert reason(conn) == "nearest_reader"


def test_a_failover_that_lost_nothing_of_a_session_is_none_for_it(lab: Lab) -> None:
    with cluster(lab, HOME, **OFTEN) as found, found.connect() as conn:
        put(conn, 1)
        seen_replayed(found, conn, FAR)
        lab.failover(FAR)
        followed(found, epoch(lab))
        assert count(conn) == 1
        assert reason(conn) == "nearest_reader"


def test_a_promotion_that_nobody_saw_is_not_guessed_about(lab: Lab) -> None:
    with cluster(lab, HOME, **OFTEN) as found, found.connect() as conn:
        put(conn, 1)
        token = conn.token
    lab.switchover(FAR)
    with cluster(lab, HOME, **OFTEN) as found, found.connect() as conn:
        followed(found, epoch(lab))
        conn.observe(token)
        assert count(conn) == 1
        assert reason(conn) == "position_of_older_timeline"
        until(lambda: count(conn) == 1 and reason(conn) == "nearest_reader")


# Something is lost.


def test_a_lost_write_is_told_once_and_the_session_goes_on(lab: Lab) -> None:
    with cluster(lab, HOME, **OFTEN) as found, found.connect() as conn:
        put(conn, 1)
        seen_replayed(found, conn, FAR)
        lose_a_write(lab, conn)
        followed(found, epoch(lab))
        with pytest.raises(globaldb.CausalityLostError) as caught, within(5.0):
            count(conn)
        error = caught.value
        assert isinstance(error, globaldb.OperationalError)
        assert not error.retryable
        assert f"on timeline {epoch(lab)}" in str(error)
        assert f"@{epoch(lab) - 1}" in str(error)
        assert "s ago" in str(error)
        assert count(conn) == 1
        assert reason(conn) == "position_of_older_timeline"
        put(conn, 2)
        assert count(conn) == 2


def test_a_write_does_not_cover_up_for_the_one_that_was_lost(lab: Lab) -> None:
    with cluster(lab, HOME, **OFTEN) as found, found.connect() as conn:
        lose_a_write(lab, conn)
        followed(found, epoch(lab))
        with pytest.raises(globaldb.CausalityLostError):
            put(conn, 2)
        assert count(conn) == 0
        put(conn, 2)
        assert count(conn) == 1


@pytest.mark.parametrize("ask", [count, lambda conn: put(conn, 2)])
def test_who_waits_for_the_new_writer_is_told_before_it_answers(
    lab: Lab, ask: Callable[[Connection], object]
) -> None:
    """The decision was made when nobody knew of the promotion yet."""
    with cluster(lab, HOME, **OFTEN) as found:
        with found.connect() as conn:
            lab.partition(HOME, FAR)
            put(conn, 1)

            def fail_over() -> None:
                lab.failover(FAR)
                lab.heal()

            failing = threading.Thread(target=fail_over)
            failing.start()
            until(lambda: found.topology.writer is None)
            with conn.using(route="writer"):
                with pytest.raises(globaldb.CausalityLostError):
                    ask(conn)
            failing.join()
            followed(found, epoch(lab))
            assert count(conn) == 0


@pytest.mark.parametrize("secret", [None, "s"])
def test_a_token_of_a_lost_write_is_told_wherever_it_is_observed(
    lab: Lab, secret: str | None
) -> None:
    options = {**OFTEN, "token_secret": secret}
    with cluster(lab, HOME, **options) as found, found.connect() as conn:
        lab.partition(HOME, FAR)
        put(conn, 1)
        token = conn.token
        lab.failover(FAR)
        lab.heal()
    # Another process, which has seen nothing of the promotion.
    with cluster(lab, HOME, **options) as found, found.connect() as conn:
        followed(found, epoch(lab))
        conn.observe(token)
        with pytest.raises(globaldb.CausalityLostError):
            count(conn)
        assert count(conn) == 0
        # A piece of work is told once, and what follows it not at all.
        with found.connect() as other, globaldb.session(token) as work:
            with pytest.raises(globaldb.CausalityLostError):
                count(other)
            assert (count(other), count(conn)) == (0, 0)
        with found.connect() as other, globaldb.session(work.token):
            assert count(other) == 0


def test_a_piece_of_work_is_told_once_of_what_another_configuration_wrote(
    lab: Lab,
) -> None:
    with (
        cluster(lab, HOME, **OFTEN) as found,
        cluster(lab, HOME, **OFTEN, pool_max_size=3) as beside,
        found.connect() as conn,
        beside.connect() as other,
        globaldb.session(),
    ):
        lose_a_write(lab, conn)
        followed(found, epoch(lab))
        followed(beside, epoch(lab))
        with pytest.raises(globaldb.CausalityLostError):
            count(other)
        with beside.connect() as third:
            assert (count(other), count(third)) == (0, 0)
        put(other, 1)
        assert count(other) == 1


def test_a_token_of_the_new_timeline_does_not_cover_up_for_a_lost_write(
    lab: Lab,
) -> None:
    """One process learns of the promotion by the token of another."""
    options = {"token_secret": "s"}
    with cluster(lab, HOME, **options) as found, found.connect() as conn:
        lose_a_write(lab, conn)
        with cluster(lab, FAR, **options) as other, other.connect() as there:
            put(there, 1)
            token = there.token
        conn.observe(token)
        with pytest.raises(globaldb.CausalityLostError), within(10.0):
            count(conn)
        assert count(conn) == 1


def test_a_mode_that_promises_nothing_of_the_kind_tells_nothing(lab: Lab) -> None:
    with cluster(lab, HOME, **OFTEN) as found, found.connect() as conn:
        lose_a_write(lab, conn)
        followed(found, epoch(lab))
        conn.consistency = "eventual"
        assert count(conn) == 0
        put(conn, 1)
        conn.consistency = "session"
        with pytest.raises(globaldb.CausalityLostError):
            count(conn)
        assert count(conn) == 1


def test_a_transaction_is_told_before_it_begins(lab: Lab) -> None:
    with cluster(lab, HOME, **OFTEN) as found, found.connect() as conn:
        lose_a_write(lab, conn)
        followed(found, epoch(lab))
        with pytest.raises(globaldb.CausalityLostError):
            with conn.transaction():
                count(conn)
        with conn.transaction():
            put(conn, 2)
            assert count(conn) == 1


def test_no_session_reads_backwards_without_being_told(lab: Lab) -> None:
    """Many sessions write and read on through a failover that loses writes."""
    with cluster(lab, HOME, **OFTEN) as found:
        stop = threading.Event()
        histories: list[list[str]] = [[] for _ in range(8)]

        def work(number: int) -> None:
            history, mine = histories[number], 0
            with found.connect() as conn:
                while not stop.is_set():
                    try:
                        put(conn, number)
                        mine += 1
                        query = f"SELECT count(*) FROM c_t WHERE n = {number}"
                        rows = int(one(conn.execute(query))[0])
                        history.append("fine" if rows >= mine else "backwards")
                        mine = rows
                    except globaldb.CausalityLostError:
                        history.append("told")
                        mine = 0
                    except globaldb.Error:
                        pass
                    time.sleep(0.001)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: all(len(history) > 10 for history in histories))
        lab.partition(HOME, FAR)
        reached = [len(history) for history in histories]
        until(lambda: all(len(h) > n + 3 for h, n in zip(histories, reached)))  # noqa: B905 - as many
        lab.failover(FAR)
        lab.heal()
        followed(found, epoch(lab))
        reached = [len(history) for history in histories]
        until(lambda: all(len(h) > n + 3 for h, n in zip(histories, reached)), 20)  # noqa: B905 - as many
        stop.set()
        for thread in threads:
            thread.join()
        assert not any("backwards" in history for history in histories)
        assert any("told" in history for history in histories)
        assert all(history.count("told") <= 1 for history in histories)
