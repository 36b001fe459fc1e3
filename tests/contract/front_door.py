"""A way in to a server from elsewhere: IPv6, a Unix socket, or TLS it does not have."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading

#: The eight bytes with which a PostgreSQL client asks for TLS.
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)


class FrontDoor:
    """Listens on *listener* and passes everything on to *target* (host, port).

    With *context* it speaks TLS to the client, as a server of its own would.
    """

    def __init__(self, listener, target, context=None):
        self.listener = listener
        self.target = target
        self.context = context
        self.tls_connections = 0
        self._closing = False
        self._sockets = []
        self._serving = []
        listener.listen()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self):
        self._closing = True
        for each in (self.listener, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in (self._thread, *self._serving):
            thread.join(timeout=5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._serving.append(thread)
            thread.start()

    def _serve(self, client):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            client = stack.enter_context(client)
            self._sockets.append(client)
            if self.context is not None:
                client = stack.enter_context(self._answer_tls(client))
            server = stack.enter_context(socket.create_connection(self.target))
            self._sockets += [client, server]
            if self._closing:
                return
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join()

    def _answer_tls(self, client):
        if client.recv(8, socket.MSG_WAITALL) != _SSL_REQUEST:
            client.close()
            raise OSError("the client did not ask for TLS")
        client.sendall(b"S")
        secured = self.context.wrap_socket(client, server_side=True)
        self.tls_connections += 1
        return secured


def _pump(source, sink):
    with contextlib.suppress(OSError, ssl.SSLError):
        while data := source.recv(65536):
            sink.sendall(data)
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
