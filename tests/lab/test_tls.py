"""TLS against servers that have it: who is trusted, and under which name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import psycopg
import pytest
from promises import HOME, WRITER
from secured import Secured, secured

import globaldb
from globaldb.lab import Lab, LabSpec


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def server(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    module_lab: Callable[[LabSpec], Lab],
) -> Secured:
    """One server of each engine, with a certificate for its name at RDS."""
    return secured(tmp_path_factory.mktemp("tls"), module_lab, request.param)


def refusal(found: globaldb.Cluster) -> str:
    with found, pytest.raises(globaldb.NoNodeAvailableError) as refused:
        found.connect()
    return str(refused.value)


def test_a_server_whose_authority_nobody_knows_is_refused_by_default(
    server: Secured,
) -> None:
    assert "certificate verify failed" in refusal(server.cluster())


def test_a_server_of_another_authority_is_refused(server: Secured) -> None:
    found = server.cluster(**server.trusting(server.strangers))
    assert "certificate verify failed" in refusal(found)


def test_a_server_under_another_name_is_refused(server: Secured) -> None:
    found = server.cluster(server.other_name, **server.trusting(server.ca))
    said = refusal(found)
    assert server.other_name in said
    assert "match host name" in said or "Hostname mismatch" in said


def test_a_server_that_proves_its_name_is_used_over_tls(server: Secured) -> None:
    with server.cluster(**server.trusting(server.ca)) as found:
        with closing(found.connect()) as connection:
            assert str(server.tls(connection)).startswith("TLSv1.")


def test_the_bundle_of_rds_proves_a_host_of_rds(server: Secured) -> None:
    with server.cluster(rds_ca=server.ca) as found:
        with closing(found.connect()) as connection:
            assert str(server.tls(connection)).startswith("TLSv1.")


def test_the_bundle_of_rds_proves_no_other_host(server: Secured) -> None:
    found = server.cluster(server.other_name, rds_ca=server.ca)
    assert "certificate verify failed" in refusal(found)


def test_the_name_may_be_left_unproven_where_that_is_said(server: Secured) -> None:
    if_asked = {"sslmode": "verify-ca", **server.trusting(server.ca)}
    if server.scheme == "mysql":
        if_asked = {"ssl_mode": "verify_ca", **server.trusting(server.ca)}
    with server.cluster(server.other_name, **if_asked) as found:
        found.connect().close()


def test_an_overdue_statement_is_cancelled_over_tls(server: Secured) -> None:
    sleep = "pg_sleep" if server.scheme == "postgresql" else "sleep"
    with server.cluster(**server.trusting(server.ca), timeout=0.3) as found:
        with closing(found.connect()) as connection, connection.cursor() as cursor:
            with pytest.raises(globaldb.DeadlineExceededError):
                cursor.execute(f"SELECT {sleep}(20)")


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    "option", [{"sslnegotiation": "direct"}, {"channel_binding": "require"}]
)
def test_what_libpq_knows_of_tls_is_passed_on_to_it(
    server: Secured, option: dict[str, str]
) -> None:
    admin = server.lab.options(HOME, WRITER, superuser=True)
    with psycopg.connect(**{**admin, "sslmode": "require"}) as link:
        link.execute("DROP ROLE IF EXISTS prover")
        link.execute("CREATE ROLE prover LOGIN PASSWORD 'proven'")
    who = {"user": "prover", "password": "proven"}
    with server.cluster(**server.trusting(server.ca), **who, **option) as found:
        found.connect().close()


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_a_password_is_bound_to_the_channel_or_not_sent(server: Secured) -> None:
    found = server.cluster(**server.trusting(server.ca), channel_binding="require")
    assert "channel binding required" in refusal(found)
