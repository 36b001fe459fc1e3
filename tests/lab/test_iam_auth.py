"""Tokens of IAM where they are used: what arrives at a server, how, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pymysql
import pytest
import trustme
from promises import HOME, WRITER
from secured import Asker, Secured, asking, secured

import globaldb
from globaldb.config import NodeAddress, configure
from globaldb.lab import Lab, LabSpec
from globaldb.runtime.entrance import name_behind

SCHEMES = ["postgresql", "mysql"]


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that sign, and that no AWS knows."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-key-of-the-key")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "long-" * 200)


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def server(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    module_lab: Callable[[LabSpec], Lab],
) -> Secured:
    """One server of each engine that lets nobody in without TLS."""
    return secured(tmp_path_factory.mktemp("iam"), module_lab, request.param)


def with_tokens(server: Secured, name: str | None = None) -> globaldb.Cluster:
    return server.cluster(
        name, password=None, user="signer", iam_auth=True, rds_ca=server.ca
    )


def token(found: globaldb.Cluster) -> str:
    """The token that the cluster signs in with."""
    [node] = found.runtime.nodes.values()
    login = found.runtime.entrance.login(node.address, monotonic() + 5)
    assert login.password is not None
    return login.password.reveal()


def accept(server: Secured, word: str) -> None:
    """Have the server take *word*, as AWS's would that has checked it."""
    spot: dict[str, Any] = server.lab.options(HOME, WRITER, superuser=True)
    if server.scheme == "postgresql":
        with psycopg.connect(**{**spot, "sslmode": "require"}) as link:
            link.execute("DROP ROLE IF EXISTS signer")
            link.execute(f"CREATE ROLE signer LOGIN PASSWORD '{word}'".encode())
        return
    # With TLS, and without looking at the certificate.
    with (
        pymysql.connect(**{**spot, "ssl_disabled": False}) as link,
        link.cursor() as cursor,
    ):
        cursor.execute(
            f"CREATE OR REPLACE USER signer@'%' IDENTIFIED BY '{word}'".encode()
        )
        cursor.execute("GRANT SELECT ON app.* TO signer@'%'")


def test_a_server_that_takes_the_token_is_used_over_tls(server: Secured) -> None:
    with with_tokens(server) as found:
        accept(server, token(found))
        with closing(found.connect()) as connection:
            assert str(server.tls(connection)).startswith("TLSv1.")


def test_a_token_that_is_refused_is_an_error(server: Secured) -> None:
    with with_tokens(server) as found:
        accept(server, token(found)[:-1])
        with pytest.raises(globaldb.NoNodeAvailableError, match="signer"):
            found.connect()


def test_the_global_endpoint_has_a_token_of_where_it_leads(server: Secured) -> None:
    name = server.lab.endpoints.global_writer
    world = NodeAddress(None, name, server.port)
    with with_tokens(server) as found:
        login = found.runtime.entrance.login(world, monotonic() + 5)
    assert login.password is not None
    text = login.password.reveal()
    assert text.startswith(f"{name}:{server.port}/?")
    assert f"%2F{HOME}%2Frds-db%2F" in text


def test_a_name_that_leads_to_no_region_has_nobody_to_sign_for(server: Secured) -> None:
    host, port = server.lab.dns(HOME)
    config = configure(
        f"{server.scheme}://signer@{server.other_name}", dns_server=f"{host}:{port}"
    )
    assert name_behind(config, server.other_name, monotonic() + 5) is None
    assert name_behind(config, server.lab.endpoints.global_writer, monotonic() + 5) == (
        server.lab.endpoints.writer(HOME),
        HOME,
    )


# What arrives.


def against(asker: Asker, scheme: str, ca: str, **options: Any) -> str:
    """Try to connect to *asker*, and return why that failed."""
    trusting = {"postgresql": "sslrootcert", "mysql": "ssl_ca"}[scheme]
    given = {"iam_auth": True, "track_changes": False, trusting: ca, **options}
    url = f"{scheme}://signer@/app?node=ap-south-1@127.0.0.1:{asker.port}"
    with globaldb.Cluster(url, **given) as found:
        with pytest.raises(globaldb.NoNodeAvailableError) as refused:
            found.connect()
    return str(refused.value)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_signed_token_arrives_in_the_clear_inside_tls(scheme: str) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    with authority.cert_pem.tempfile() as ca, asking(scheme, issued) as asker:
        assert "that is not it" in against(asker, scheme, ca)
    # One that was just signed is not refused for its age: no other is signed.
    [text] = set(asker.told)
    parts = urlsplit(f"https://{text}")
    said = {name: value for name, [value] in parse_qs(parts.query).items()}
    assert (parts.hostname, parts.port) == ("127.0.0.1", asker.port)
    assert (said["Action"], said["DBUser"]) == ("connect", "signer")
    assert said["X-Amz-Credential"].split("/")[2:4] == ["ap-south-1", "rds-db"]
    assert said["X-Amz-Security-Token"] == "long-" * 200
    assert text.encode() not in asker.without_tls


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_token_is_sent_without_tls(scheme: str) -> None:
    with trustme.CA().cert_pem.tempfile() as ca, asking(scheme, None) as asker:
        against(asker, scheme, ca)
    assert asker.told == []
    assert b"X-Amz" not in asker.without_tls
    assert b"signer" not in asker.without_tls


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_token_is_sent_to_who_cannot_prove_its_name(scheme: str) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("db.example")
    with authority.cert_pem.tempfile() as ca, asking(scheme, issued) as asker:
        against(asker, scheme, ca)
    assert asker.told == []
