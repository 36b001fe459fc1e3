"""TLS, IPv6 and Unix sockets: each a real connection through a real way in."""

from __future__ import annotations

import socket
import ssl

import psycopg
import pytest
import trustme

import globaldb
from globaldb.config import configure
from globaldb.config.secret import Login
from globaldb.drivers.psycopg.driver import parameters
from tests.contract.front_door import FrontDoor


@pytest.fixture
def target(lab):
    """The writer's own address, and how to log in there."""
    node = lab.nodes[0]
    info = psycopg.conninfo.conninfo_to_dict(lab.dsn(node.region, node.name))
    login = {"user": info["user"], "password": info["password"], "database": "app"}
    return (node.host, node.port), login


def connect(host, port, login, **options):
    return globaldb.Cluster(
        "postgresql://",
        node=f"us-west-2@{host}:{port}",
        autocommit=True,
        connect_timeout=5,
        **login,
        **options,
    )


def tls_door(target, authority, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return FrontDoor(socket.create_server(("127.0.0.1", 0)), target, context)


def test_ipv6_addresses_are_reached(target):
    address, login = target
    listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    with FrontDoor(listener, address):
        port = listener.getsockname()[1]
        with connect("[::1]", port, login) as cluster, cluster.connect() as conn:
            assert conn.execute("SELECT 1").fetchone() == (1,)


def test_unix_sockets_are_reached(target, tmp_path):
    address, login = target
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / ".s.PGSQL.5432"))
    with FrontDoor(listener, address):
        with connect(tmp_path, 5432, login) as cluster, cluster.connect() as conn:
            assert conn.execute("SELECT 1").fetchone() == (1,)


def test_verify_full_accepts_a_server_that_proves_its_name(target, tmp_path):
    address, login = target
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with tls_door(address, authority, "localhost") as door:
        options = {"sslmode": "verify-full", "sslrootcert": str(tmp_path / "ca.pem")}
        port = door.listener.getsockname()[1]
        with connect("localhost", port, login, **options) as cluster:
            with cluster.connect() as conn:
                assert conn.execute("SELECT 1").fetchone() == (1,)
        assert door.tls_connections >= 1


@pytest.mark.parametrize(
    ("name", "trusted"), [("elsewhere.example", True), ("localhost", False)]
)
def test_verify_full_refuses_a_wrong_name_and_an_unknown_authority(
    target, tmp_path, name, trusted
):
    address, login = target
    authority = trustme.CA()
    known = authority if trusted else trustme.CA()
    known.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with tls_door(address, authority, name) as door:
        options = {"sslmode": "verify-full", "sslrootcert": str(tmp_path / "ca.pem")}
        port = door.listener.getsockname()[1]
        with connect("localhost", port, login, **options) as cluster:
            with pytest.raises(psycopg.OperationalError) as caught:
                cluster.connect()
    assert isinstance(caught.value, globaldb.NoNodeAvailableError)
    assert "certificate" in str(caught.value)
    assert login["password"] not in str(caught.value)


def test_off_this_machine_the_server_must_prove_its_name():
    config = configure("postgresql://app@/shop?node=us-west-2@db.example:5432")
    given = parameters(config, config.nodes[0], Login("app", None))
    assert given["sslmode"] == "verify-full"
    assert given["sslrootcert"] != ""


def test_the_binary_package_of_psycopg_gets_the_certificates_of_the_system(
    monkeypatch, tmp_path
):
    bundle = tmp_path / "bundle.pem"
    trustme.CA().cert_pem.write_to_path(str(bundle))
    monkeypatch.setattr(psycopg.pq, "__impl__", "binary")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    config = configure("postgresql://app@/shop?node=us-west-2@db.example:5432")
    given = parameters(config, config.nodes[0], Login("app", None))
    assert given["sslrootcert"] == str(bundle)
