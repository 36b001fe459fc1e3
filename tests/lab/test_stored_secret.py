"""Passwords out of Secrets Manager: read once, and once more when they are refused."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from time import monotonic
from typing import Any

import psycopg
import pymysql
import pytest
from aws_server import NOWHERE, REGION, Aws, aws_server
from promises import HOME, WRITER, until

import globaldb
from globaldb.config import NodeAddress
from globaldb.lab import Lab
from globaldb.runtime.stored_secret import StoredSecret

NAME = "shop/keeper"
NODE = NodeAddress(None, "db.example", 5432)
#: What tells one connection from another, and what takes two seconds.
WORDS = {
    "postgresql": ("pg_backend_pid()", "pg_sleep(2)"),
    "mariadb": ("connection_id()", "sleep(2)"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Aws]:
    with aws_server() as found:
        yield found


@pytest.fixture
def aws(server: Aws, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """Where boto3 asks; nothing was asked yet."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server._asked.clear()
    return server


@pytest.fixture(params=["postgresql", "mariadb"])
def keeper(
    request: pytest.FixtureRequest, shared_labs: Callable[[str], Lab], aws: Aws
) -> Iterator[Lab]:
    """A role whose password is known from its secret alone."""
    lab = shared_labs(request.param)
    lab.restore()
    admin(lab, "CREATE", "of-the-beginning")
    aws.keep(NAME, login("of-the-beginning"))
    yield lab
    admin(lab, "DROP")


def login(password: str) -> dict[str, object]:
    return {"username": "keeper", "password": password}


def admin(lab: Lab, verb: str, password: str | None = None) -> None:
    """Create, alter or drop the role, at the writer."""
    spot = lab.options(HOME, WRITER, superuser=True)
    if lab.spec.engine == "postgresql":
        word = "" if password is None else f"LOGIN PASSWORD '{password}'"
        with psycopg.connect(**spot) as link:
            link.execute(f"{verb} ROLE keeper {word}".encode())
        return
    word = "" if password is None else f"IDENTIFIED BY '{password}'"
    with pymysql.connect(**spot) as found, found.cursor() as cursor:
        cursor.execute(f"{verb} USER keeper@'%' {word}")
        if verb == "CREATE":
            cursor.execute("GRANT SELECT ON app.* TO keeper@'%'")


def cluster(lab: Lab, **options: Any) -> globaldb.Cluster:
    """A cluster of the writer alone that knows the name of its secret, and no more."""
    spot = lab.options(HOME, WRITER)
    scheme = "postgresql" if lab.spec.engine == "postgresql" else "mysql"
    given = {"secret": NAME, "region": REGION, "autocommit": True}
    return globaldb.Cluster(
        f"{scheme}:///app",
        node=f"{HOME}@{spot['host']}:{spot['port']}",
        **{**given, "probe_interval": 60, **options},
    )


def one(connection: Any, what: str = "1") -> object:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {what}")
        return cursor.fetchone()


def answers(found: globaldb.Cluster) -> bool:
    with closing(found.connect()) as connection:
        return one(connection) == (1,)


def refusal(found: globaldb.Cluster) -> str:
    with pytest.raises(globaldb.NoNodeAvailableError) as refused:
        found.connect()
    return str(refused.value)


def several(found: globaldb.Cluster, count: int) -> None:
    """Open *count* connections at once, and close them."""
    [node] = found.runtime.nodes.values()
    with ThreadPoolExecutor(count) as threads:
        links = list(threads.map(node.open, [monotonic() + 30] * count))
    for link in links:
        found.runtime.driver.close(link)


def test_a_secret_is_read_once_for_all_connections(keeper: Lab, aws: Aws) -> None:
    with cluster(keeper) as found:
        several(found, 4)
        assert answers(found)
    assert aws.read == 1


def test_a_rotated_password_is_read_once_by_those_who_are_refused(
    keeper: Lab, aws: Aws
) -> None:
    known, sleep = WORDS[keeper.spec.engine]
    with cluster(keeper, pool_max_size=1) as found, closing(found.connect()) as before:
        physical = one(before, known)
        admin(keeper, "ALTER", "of-the-rotation")
        aws.keep(NAME, login("of-the-rotation"))
        several(found, 6)
        assert aws.read == 2
        # What was open lives on, and what is late there is ended with the new password.
        with before.using(timeout=0.2), pytest.raises(globaldb.DeadlineExceededError):
            one(before, sleep)
        assert one(before, known) == physical


def test_a_secret_that_is_wrong_too_is_read_no_third_time(
    keeper: Lab, aws: Aws
) -> None:
    admin(keeper, "ALTER", "known-to-nobody")
    with cluster(keeper, connect_timeout=3) as found:
        assert all("keeper" in refusal(found) for _ in range(3))
    # The first reading, and the one that the refusal asked for.
    assert aws.read == 2


def test_refused_probes_take_nothing_from_those_who_were_let_in(
    keeper: Lab, aws: Aws
) -> None:
    alone = {"pool_max_size": 1, "probe_interval": 0.1, "autocommit": False}
    with cluster(keeper, **alone) as found, closing(found.connect()) as before:
        assert one(before) == (1,)
        admin(keeper, "ALTER", "known-to-nobody")
        # The only connection is in a transaction: probes need another.
        until(lambda: aws.read == 2)
        assert one(before) == (1,)
        before.commit()
        assert found.topology.writer is not None
        assert found.runtime.reign == 1


def test_a_secret_says_who_to_be_and_not_where(keeper: Lab, aws: Aws) -> None:
    wrong = {"host": "nowhere.invalid", "port": 1, "dbname": "other"}
    aws.keep("elsewhere", {**login("of-the-beginning"), **wrong})
    with cluster(keeper, secret="elsewhere", user="somebody") as found:
        assert answers(found)


def test_a_secret_without_a_name_is_the_users(keeper: Lab, aws: Aws) -> None:
    aws.keep("anonymous", {"password": "of-the-beginning"})
    with cluster(keeper, secret="anonymous", user="keeper") as found:
        assert answers(found)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("hidden-in-plain-text", "is not JSON with a username and a password"),
        ('["hidden"]', "is not JSON with a username and a password"),
        ('{"username": "app", "Password": "hidden"}', "is not JSON with"),
        (None, "ResourceNotFoundException; look at its name and its region"),
    ],
)
def test_a_secret_that_cannot_be_used_is_said_without_its_content(
    lab: Lab, aws: Aws, content: str | None, says: str
) -> None:
    name = f"of-no-use-{len(content or '')}"
    if content is not None:
        aws.keep(name, content)
    with cluster(lab, secret=name) as found:
        said = refusal(found)
    assert says in said
    assert f"secret {name} in {REGION}" in said
    assert "hidden" not in said


def test_an_aws_that_is_not_there_is_told_from_a_node_that_is_not(
    lab: Lab, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", NOWHERE)
    with cluster(lab) as found:
        said = refusal(found)
    assert "could not be read: EndpointConnectionError; look whether" in said


def test_an_aws_that_says_nothing_is_left_in_time(
    lab: Lab, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv(
            "AWS_ENDPOINT_URL_SECRETS_MANAGER", f"http://127.0.0.1:{port}"
        )
        with cluster(lab, connect_timeout=2) as found:
            assert "could not be read: ReadTimeoutError; look" in refusal(found)


def test_a_rotation_that_aws_does_not_tell_is_said(keeper: Lab, aws: Aws) -> None:
    with cluster(keeper) as found:
        assert answers(found)
        admin(keeper, "ALTER", "of-the-rotation")
        aws.keep(NAME, "no login any more")
        [node] = found.runtime.nodes.values()
        with pytest.raises(globaldb.OperationalError, match="password is refused, and"):
            node.open(monotonic() + 5)


# How often, by a clock of the test's own.


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stored(aws: Aws, clock: Clock) -> StoredSecret:
    aws.keep("by-the-clock", login("first"))
    return StoredSecret(
        "by-the-clock", region=REGION, user=None, patience=5, clock=clock
    )


def refused(stored: StoredSecret) -> bool:
    """Have the login of now be refused; return whether there is another."""
    ends = monotonic() + 10
    return stored.renew(NODE, stored.login(NODE, ends), ends)


def test_readings_of_no_use_come_ever_later(
    stored: StoredSecret, aws: Aws, clock: Clock
) -> None:
    reads = []
    for _ in range(200):
        assert not refused(stored)
        reads.append(aws.read)
        clock.now += 1.0
    # The first login, then after 5, 10, 20, 40 and never more than 60 seconds.
    found = [second for second in range(1, 200) if reads[second] > reads[second - 1]]
    assert reads[0] == 2
    assert found == [5, 15, 35, 75, 135, 195]


def test_a_reading_of_use_takes_the_pause_away(
    stored: StoredSecret, aws: Aws, clock: Clock
) -> None:
    assert not refused(stored)
    clock.now += 5.0
    aws.keep("by-the-clock", login("second"))
    assert refused(stored)
    aws.keep("by-the-clock", login("third"))
    assert refused(stored)
    assert aws.read == 4


def test_nobody_waits_longer_for_a_reading_than_said(stored: StoredSecret) -> None:
    with stored._lock:  # as if another thread waited for AWS
        with pytest.raises(globaldb.OperationalError, match="was not read in time"):
            stored.login(NODE, monotonic() + 0.05)


def test_a_forked_child_reads_for_itself(stored: StoredSecret) -> None:
    with stored._lock:  # held by a thread that the child does not have
        stored.forget_after_fork()
    assert stored.login(NODE, monotonic() + 5).user == "keeper"
