"""Why nobody serves: how each node is, the same said once, and what to try."""

from __future__ import annotations

from globaldb.core.absence import no_node, no_writer
from globaldb.core.topology import NodeState, Role

LIBPQ = (
    'connection failed: connection to server at "{}", port 5432 failed: FATAL: '
    'password authentication failed for user "app"'
)


def lost(name: str, problem: str | None = None) -> NodeState:
    return NodeState(name, None, problem=problem)


def well(name: str, role: Role) -> NodeState:
    return NodeState(name, None, role)


def test_what_all_nodes_say_is_said_once_and_what_to_look_at():
    states = [lost(name, LIBPQ.format(name)) for name in ("us-1", "ap-1")]
    assert no_node(states, 0.5, barred=True) == (
        "no node of the cluster lets this application in: us-1, ap-1: FATAL: password "
        'authentication failed for user "app". Look at user, password and database'
    )


def test_who_is_silent_is_told_of_with_the_seconds_waited():
    said = no_node([lost("us-1"), lost("ap-1", "refused")], 5.0, barred=False)
    assert said.startswith(
        "no node of the cluster answers: us-1: no answer in 5.0 s; ap-1: refused. Right "
    )
    assert "connect_timeout" in said
    assert "connect_timeout" in no_node(
        [lost("us-1", "connection timeout expired")], 1.0, barred=False
    )
    assert no_node([lost("us-1", "refused")], 0.0, barred=False).endswith("refused")


def test_readers_alone_are_asked_about_the_writer_that_was_not_given():
    readers = [well("us-1", Role.READER), well("ap-1", Role.READER)]
    assert no_writer(readers, 30.0) == (
        "no writer is known after 30.0 s; nothing was sent. us-1, ap-1: reader. All are "
        "readers: is the writer among the nodes that were given? Else try again when "
        "the failover is over"
    )
    said = no_writer([*readers, lost("eu-1", "refused")], 30.0)
    assert said.endswith("eu-1: refused. Try again when the failover is over")


def test_what_a_certificate_fails_in_is_told_with_the_option_that_helps():
    said = no_node([lost("us-1", "certificate verify failed")], 0.1, barred=True)
    assert "rds_ca=" in said
    assert "sslrootcert=" in said
    for plain in (
        "server does not support SSL, but SSL was required",
        '(2026, "SSL is required but the server doesn\'t support it")',
    ):
        assert "sslmode=" in no_node([lost("us-1", plain)], 0.1, barred=True)
    other = 'server certificate for "a" does not match host name "b"'
    assert "a name that is in" in no_node([lost("us-1", other)], 0.1, barred=True)


def test_an_error_of_pymysql_reads_as_a_sentence():
    denied = repr(
        (1045, "Access denied for user 'app'@'10.0.0.9' (using password: NO)")
    )
    quoted = repr((2003, 'Can\'t connect to "b"'))
    said = no_node([lost("us-1", denied), lost("ap-1", quoted)], 0.1, barred=False)
    assert said == (
        "no node of the cluster answers: us-1: Access denied for user 'app'@'10.0.0.9' "
        '(using password: NO) (1045); ap-1: Can\'t connect to "b" (2003)'
    )


def test_a_wait_that_was_none_is_not_counted():
    assert no_writer([lost("us-1")], 0.01) == (
        "no writer is known; nothing was sent. us-1: no answer yet. Try again when the "
        "failover is over"
    )
