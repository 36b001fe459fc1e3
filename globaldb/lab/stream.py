"""Carry one direction of a connection: every chunk arrives a fixed time later."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections import deque
from enum import Enum
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from globaldb.lab.loop import BROKEN, READABLE, WRITABLE, Loop

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK: Final = 1 << 16
#: A stream stops reading with this much in flight, as a full TCP window would.
WINDOW: Final = 32 << 20
#: SO_LINGER with no time: closing sends a reset instead of an orderly end.
_ABORT: Final = struct.pack("ii", 1, 0)


class Mark(Enum):
    """What may travel besides bytes."""

    END = "end"
    RESET = "reset"


Item: TypeAlias = bytes | Mark


class Path(Protocol):
    """The way between two places, as a stream sees it now."""

    @property
    def one_way(self) -> float:
        """Seconds from end to end."""

    @property
    def held(self) -> bool:
        """Whether nothing arrives."""

    @property
    def instant(self) -> bool:
        """Whether a chunk may be passed on without waiting at all."""


class Side:
    """One of the two sockets of a connection, and what it is watched for."""

    __slots__ = ("_events", "_incoming", "_loop", "_outgoing", "sock")

    def __init__(
        self, loop: Loop, sock: socket.socket, *, outgoing: Stream, incoming: Stream
    ) -> None:
        self.sock = sock
        self._loop = loop
        self._outgoing = outgoing
        self._incoming = incoming
        self._events = READABLE
        outgoing.source = self
        incoming.target = self
        loop.watch(sock.fileno(), READABLE, self._on_event)

    def wait_for(self, event: int, *, wanted: bool) -> None:
        """Begin or cease to wait for *event*."""
        events = self._events | event if wanted else self._events & ~event
        if events != self._events and self._loop.watches(self.sock.fileno()):
            self._events = events
            self._loop.change(self.sock.fileno(), events)

    def close(self, *, reset: bool) -> None:
        """Close the socket; the peer sees a reset or an orderly end."""
        self._loop.forget(self.sock.fileno())
        if reset:
            with contextlib.suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        self.sock.close()

    def _on_event(self, events: int) -> None:
        if events & WRITABLE and self._events & WRITABLE:
            self.wait_for(WRITABLE, wanted=False)
            self._incoming.unblock()
        if events & BROKEN and self._outgoing.ended:
            # It had said its last word already, and now it listens no more.
            self._loop.forget(self.sock.fileno())
            self._incoming.finish(reset=False)
        elif events & (READABLE | BROKEN):
            self._outgoing.pull()


class Stream:
    """Bytes on their way from one socket to the other.

    *observe* sees each chunk as it enters and may swallow it; *delivered* is called
    when bytes leave at the far end; *finished* once nothing more can travel, and says
    whether it ended with a reset.
    """

    __slots__ = (
        "_blocked",
        "_delivered",
        "_finished",
        "_in_flight",
        "_last_due",
        "_late",
        "_loop",
        "_observe",
        "_path",
        "_queue",
        "done",
        "ended",
        "hold_until",
        "rewrite",
        "source",
        "target",
    )

    def __init__(
        self,
        loop: Loop,
        path: Path,
        *,
        observe: Callable[[bytes], bool],
        delivered: Callable[[], None],
        finished: Callable[[bool], None],
    ) -> None:
        self.source: Side | None = None
        self.target: Side | None = None
        self.hold_until = 0.0
        #: What is read goes through this, if anything; it may keep bytes for later.
        self.rewrite: Callable[[bytes], bytes] | None = None
        self.ended = False
        self.done = False
        self._loop = loop
        self._path = path
        self._observe = observe
        self._delivered = delivered
        self._finished = finished
        self._queue: deque[tuple[float, Item]] = deque()
        self._last_due = 0.0
        self._in_flight = 0
        self._late = 0.0
        self._blocked = False

    def hold_back(self, seconds: float) -> None:
        """Let everything, what is on its way too, arrive *seconds* later."""
        change, self._late = seconds - self._late, seconds
        self._queue = deque((due + change, item) for due, item in self._queue)
        self._last_due += change
        self.drain()

    def pull(self) -> None:
        """Read what the source has and send it on its way."""
        if self.source is None:
            return
        try:
            data = self.source.sock.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self.put(Mark.RESET)
            return
        if not data:
            self.put(Mark.END)
        elif self._observe(data) and not self.done:
            self._send_on(data if self.rewrite is None else self.rewrite(data))

    def _send_on(self, data: bytes) -> None:
        if data:
            if self._path.instant and not self._queue and self.target is not None:
                self._emit(data)
            else:
                self.put(data)

    def put(self, item: Item, *, delay: float | None = None) -> None:
        """Let *item* arrive after *delay* (the path's, if not given) in its turn."""
        start = max(monotonic(), self.hold_until)
        way = self._path.one_way + self._late
        due = start + (way if delay is None else delay)
        self._last_due = due = max(due, self._last_due)
        if isinstance(item, bytes):
            self._in_flight += len(item)
        else:
            self.ended = True
        self._queue.append((due, item))
        if len(self._queue) == 1:
            self._loop.call_at(due, self.drain)
        self._read_or_pause()

    def drain(self) -> None:
        """Deliver everything that is due; set a timer for the rest."""
        queue = self._queue
        while queue and not self._blocked:
            if self._path.held or self.target is None:
                return
            due, item = queue[0]
            if due > monotonic():
                self._loop.call_at(due, self.drain)
                break
            queue.popleft()
            if isinstance(item, bytes):
                self._in_flight -= len(item)
                self._emit(item)
            else:
                self._emit_mark(item)
        self._read_or_pause()

    def unblock(self) -> None:
        """Go on: the target takes bytes again."""
        self._blocked = False
        self.drain()

    def finish(self, *, reset: bool) -> None:
        """Let nothing more arrive."""
        if not self.done:
            self.done = True
            self._queue.clear()
            self._in_flight = 0
            self._finished(reset)

    def _read_or_pause(self) -> None:
        if self.source is not None:
            room = self._in_flight < WINDOW and not self.ended
            self.source.wait_for(READABLE, wanted=room)

    def _emit(self, data: bytes) -> None:
        target = self.target
        if target is None:
            return
        try:
            sent = target.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            # The target hung up. What it said before is still on its way back, so
            # only this direction ends here.
            self.finish(reset=False)
            return
        self._delivered()
        if sent < len(data):
            self._queue.appendleft((0.0, data[sent:]))
            self._in_flight += len(data) - sent
            self._blocked = True
            target.wait_for(WRITABLE, wanted=True)

    def _emit_mark(self, mark: Mark) -> None:
        if mark is Mark.END and self.target is not None:
            with contextlib.suppress(OSError):
                self.target.sock.shutdown(socket.SHUT_WR)
        self.finish(reset=mark is Mark.RESET)
