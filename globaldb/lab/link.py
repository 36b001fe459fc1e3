"""Join a place to a node: a listening address, a delay, faults, and counts."""

from __future__ import annotations

import errno
import socket
from collections import deque
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from globaldb.lab.loop import READABLE, WRITABLE, Loop
from globaldb.lab.rewriting import Rewriting
from globaldb.lab.stream import Mark, Side, Stream

#: Seconds that a chunk takes through an idle proxy at least: a part of the delay.
OWN_COST: Final = 0.000_04
#: How many closed connections a link remembers one by one.
REMEMBERED: Final = 10_000
#: PostgreSQL's Terminate, MySQL's COM_QUIT: the client waits for no answer.
_GOODBYES: Final = frozenset({b"X\x00\x00\x00\x04", b"\x01\x00\x00\x00\x01"})

#: How a server of MySQL's kind begins to ask for the log: packet 0, then the command
#: COM_BINLOG_DUMP or COM_BINLOG_DUMP_GTID.
_DUMPS: Final = (b"\x00\x12", b"\x00\x1e")

Address = tuple[str, int]


@dataclass(slots=True)
class Traffic:
    """What passed over one connection, as its client saw it."""

    port: int
    round_trips: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    open: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON can hold them."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class Cut:
    """Break the connection of the next chunk that fits.

    *containing* must be part of the request; with *when* "reply" the request passes
    and its answer is lost.
    """

    when: str
    containing: bytes


class Link:
    """One way from a region to a node.

    *near* and *far* name the regions at its ends. A held link delivers nothing, in
    either direction, and keeps what was sent until it is released. One that *rewrites*
    puts servers' names in the place of Aurora's.
    """

    def __init__(
        self,
        loop: Loop,
        *,
        name: str,
        near: str,
        far: str,
        listen: Address,
        rewrites: bool = False,
    ) -> None:
        self.loop = loop
        self.name = name
        self.near = near
        self.far = far
        self.target: Address | None = None
        self.rewrites = rewrites
        self.one_way = 0.0
        self.held = False
        self.instant = True
        self.late = 0.0
        self.cut: Cut | None = None
        self.accepted = 0
        self.closed: deque[Traffic] = deque(maxlen=REMEMBERED)
        self.connections: set[Connection] = set()
        self._listen = listen
        self._listener: socket.socket | None = None
        self._waiting: list[Connection] = []

    @property
    def refusing(self) -> bool:
        """Whether connects are refused."""
        return self._listener is None

    def accept_connects(self) -> None:
        """Listen; connects succeed from now on."""
        if self._listener is not None:
            return
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.settimeout(0)
        listener.bind(self._listen)
        listener.listen(1024)
        self._listener = listener
        self.loop.watch(listener.fileno(), READABLE, self._on_connect)

    def refuse_connects(self) -> None:
        """Close the listener; open connections live on."""
        if self._listener is not None:
            self.loop.forget(self._listener.fileno())
            self._listener.close()
            self._listener = None

    def set_one_way(self, seconds: float) -> None:
        """Delay what is sent from now on by *seconds* in each direction."""
        self.one_way = max(0.0, seconds - OWN_COST)
        self._settle()

    def hold(self, *, held: bool) -> None:
        """Hold everything back, or let it go on."""
        self.held = held
        self._settle()
        if not held:
            waiting, self._waiting = self._waiting, []
            for connection in waiting:
                connection.open()
            for connection in list(self.connections):
                connection.drain()

    def hold_back(self, seconds: float) -> None:
        """Have a log that is asked for over this link arrive *seconds* later."""
        self.late = seconds
        self._settle()
        for connection in self.connections:
            connection.hold_back()

    def open_later(self, connection: Connection) -> None:
        """Open *connection* once the link is released."""
        self._waiting.append(connection)

    def reset_connections(self) -> None:
        """Break every connection at both ends, now."""
        for connection in list(self.connections):
            connection.close(reset=True)

    def traffic(self) -> list[Traffic]:
        """Every connection since the last reset, open ones last."""
        return [*self.closed, *(c.traffic for c in self.connections)]

    def reset_counters(self) -> None:
        """Forget closed connections; count from nothing again."""
        self.closed.clear()
        self.accepted = 0
        for connection in self.connections:
            connection.traffic = Traffic(connection.traffic.port)

    def _settle(self) -> None:
        self.instant = not (self.one_way or self.held or self.late)

    def _on_connect(self, _events: int) -> None:
        if self._listener is None:
            return
        try:
            sock, peer = self._listener.accept()
        except OSError:
            return
        self.accepted += 1
        connection = Connection(self, sock, peer[1])
        self.connections.add(connection)
        connection.begin()


class Connection:
    """A client's socket and the socket to the node that it was joined to.

    The kernel accepts at once, where a wide-area connect takes a round trip. So what
    the client sends is held for one round trip more, and the node is connected to
    when the client's acknowledgement would have reached it.
    """

    def __init__(self, link: Link, sock: socket.socket, port: int) -> None:
        self.link = link
        self.traffic = Traffic(port)
        self._answered = True
        self._dumping = False
        self._doomed = False
        self._closed = False
        self._server: Side | None = None
        self._connecting: socket.socket | None = None
        self._up = Stream(
            link.loop,
            link,
            observe=self._observe_request,
            delivered=_nothing,
            finished=self._on_finished,
        )
        if link.rewrites:
            self._up.rewrite = Rewriting().feed
        self._down = Stream(
            link.loop,
            link,
            observe=self._observe_reply,
            delivered=self._on_answer,
            finished=self._on_finished,
        )
        _tune(sock)
        self._client = Side(link.loop, sock, outgoing=self._up, incoming=self._down)

    def begin(self) -> None:
        """Connect to the node once the client's acknowledgement would be there."""
        link = self.link
        accepted = monotonic()
        self._up.hold_until = accepted + 2 * link.one_way
        if link.instant:
            self.open()
        else:
            link.loop.call_at(accepted + 3 * link.one_way, self.open)

    def open(self) -> None:
        """Connect to the node."""
        if self._closed:
            return
        if self.link.held:
            self.link.open_later(self)
            return
        if self.link.target is None:
            self.close(reset=True)
            return
        sock = self._connecting = socket.socket()
        _tune(sock)
        failure = sock.connect_ex(self.link.target)
        if failure in {0, errno.EINPROGRESS}:
            self.link.loop.watch(sock.fileno(), WRITABLE, self._on_connected)
        else:
            self.close(reset=True)

    def drain(self) -> None:
        """Deliver what became due while the link was held."""
        self._up.drain()
        self._down.drain()

    def hold_back(self) -> None:
        """Take up what the link says of logs, if one flows here."""
        if self._dumping:
            self._down.hold_back(self.link.late)

    def close(self, *, reset: bool) -> None:
        """Close both sockets."""
        if self._closed:
            return
        self._closed = True
        if self._connecting is not None:
            self.link.loop.forget(self._connecting.fileno())
            self._connecting.close()
        self._client.close(reset=reset)
        if self._server is not None:
            self._server.close(reset=reset)
        self.traffic.open = False
        self.link.connections.discard(self)
        self.link.closed.append(self.traffic)

    def _on_connected(self, _events: int) -> None:
        sock, self._connecting = self._connecting, None
        if sock is None:
            return
        self.link.loop.forget(sock.fileno())
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            sock.close()
            self.close(reset=True)
            return
        self._server = Side(
            self.link.loop, sock, outgoing=self._down, incoming=self._up
        )
        self._up.drain()

    def _observe_request(self, data: bytes) -> bool:
        traffic = self.traffic
        traffic.bytes_sent += len(data)
        if self._answered and data not in _GOODBYES:
            traffic.round_trips += 1
            self._answered = False
        if data[3:5] in _DUMPS:
            self._dumping = True
            self.hold_back()
        cut = self.link.cut
        if cut is None or cut.containing not in data or self._doomed:
            return True
        self.link.cut = None
        if cut.when == "request":
            self._break(after=2 * self.link.one_way)
            return False
        self._doomed = True
        return True

    def _observe_reply(self, data: bytes) -> bool:
        self.traffic.bytes_received += len(data)
        if self._doomed:
            self._break(after=self.link.one_way)
        return not self._doomed

    def _break(self, *, after: float) -> None:
        """Take the node's side away now, and tell the client *after* seconds."""
        self._doomed = True
        self._up.finish(reset=False)
        if self._server is not None:
            self._server.close(reset=True)
        self._down.put(Mark.RESET, delay=after)

    def _on_answer(self) -> None:
        self._answered = True

    def _on_finished(self, reset: bool) -> None:  # noqa: FBT001 - a stream's callback
        if reset or (self._up.done and self._down.done):
            self.close(reset=reset)


def _tune(sock: socket.socket) -> None:
    sock.settimeout(0)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _nothing() -> None:
    """Nobody waits for this."""
