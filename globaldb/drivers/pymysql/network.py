"""The socket to a node: opened before a deadline, closed whatever goes wrong."""

from __future__ import annotations

import socket
from time import monotonic
from typing import TYPE_CHECKING, Final

from pymysql import err
from pymysql.constants import CR

if TYPE_CHECKING:
    from globaldb.drivers.pymysql.physical import Physical

_SHORTEST: Final = 0.001
#: A peer that vanished is noticed within half a minute, where the system would take
#: hours. Seconds but for the last, milliseconds; other systems have fewer of these.
_KEEPALIVE: Final = {
    "TCP_KEEPIDLE": 10,
    "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 25_000,
}


def connected(connection: Physical, deadline: float) -> socket.socket:
    """Return a socket to where *connection* leads, before *deadline*.

    Raises PyMySQL's error 2003. PyMySQL itself leaves the socket of a refused
    connection to garbage collection.
    """
    left = max(_SHORTEST, deadline - monotonic())
    try:
        if connection.unix_socket:
            sock = _local(str(connection.unix_socket), left)
            connection.host_info = "Localhost via UNIX socket"
            connection._secure = True
        else:
            sock = _remote(connection, left)
            connection.host_info = f"socket {connection.host}:{connection.port}"
    except OSError as error:
        raise err.OperationalError(
            CR.CR_CONN_HOST_ERROR,
            f"Can't connect to MySQL server on {connection.host!r} ({error})",
        ) from error
    return sock


def _local(path: str, timeout: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return sock


def _remote(connection: Physical, timeout: float) -> socket.socket:
    source = connection.bind_address
    sock = socket.create_connection(
        (connection.at or connection.host, connection.port),
        timeout,
        source_address=None if source is None else (source, 0),
    )
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
    return sock
