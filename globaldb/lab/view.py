"""One region's view of a lab's names, over UDP and TCP, and what may be wrong with it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeAlias

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset

from globaldb.lab.loop import READABLE, Loop
from globaldb.lab.zone import TTL, Roles, Zone

if TYPE_CHECKING:
    from globaldb.lab.link import Address

DROP: Final = "drop"
DELAY: Final = "delay"
STALE: Final = "stale"
#: Faults that are one of DNS's own answers.
ANSWERS: Final = {"servfail": dns.rcode.SERVFAIL, "nxdomain": dns.rcode.NXDOMAIN}
#: Bytes of a message over TCP at most: two bytes in front of it say how many.
_MOST: Final = 0xFFFF
#: Bytes over UDP for a client that says nothing of how many it can take.
_LEAST: Final = 512
_CHUNK: Final = 1 << 16

Send: TypeAlias = Callable[[bytes], None]


class View:
    """Answers questions from one region; see `fail` for what may be wrong with it."""

    def __init__(self, loop: Loop, zone: Zone, address: Address) -> None:
        self.fault = ""
        self._seconds = 0.0
        self._loop = loop
        self._zone = zone
        self._roles = zone.roles
        self._packets = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._packets.settimeout(0)
        self._packets.bind(address)
        loop.watch(self._packets.fileno(), READABLE, self._on_packet)
        self._listener = socket.create_server(address)
        self._listener.settimeout(0)
        loop.watch(self._listener.fileno(), READABLE, self._on_connect)

    def show(self, roles: Roles) -> None:
        """Answer by *roles* from now on; a stale view waits until it is well."""
        self._roles = roles
        if self.fault != STALE:
            self._zone.roles = roles

    def fail(self, fault: str, seconds: float = 0.0) -> None:
        """Have this *fault* instead of the one before; the empty one is none.

        `drop` answers nothing, `servfail` and `nxdomain` answer so, `delay` answers
        *seconds* late, `stale` answers as things are now, whatever becomes of them.
        """
        self.fault, self._seconds = fault, seconds
        self.show(self._roles)

    def ask(self, question: bytes, *, most: int | None, send: Send) -> None:
        """Answer by *send*, in *most* bytes or those that the client says it takes."""
        if self.fault == DROP:
            return
        answer = self._answer(question, most)
        if answer is None:
            return
        if self.fault == DELAY:
            self._loop.call_at(monotonic() + self._seconds, lambda: send(answer))
        else:
            send(answer)

    def _answer(self, question: bytes, most: int | None) -> bytes | None:
        try:
            asked = dns.message.from_wire(question)
            response = dns.message.make_response(asked, recursion_available=True)
        except dns.exception.DNSException:
            return None
        response.flags |= dns.flags.AA
        if asked.opcode() != dns.opcode.QUERY or len(asked.question) != 1:
            response.set_rcode(dns.rcode.NOTIMP)
        elif self.fault in ANSWERS:
            response.set_rcode(ANSWERS[self.fault])
        else:
            self._fill(response)
        return response.to_wire(
            max_size=most or max(asked.payload, _LEAST), prefer_truncation=True
        )

    def _fill(self, response: dns.message.Message) -> None:
        [asked] = response.question
        name = asked.name.to_text(omit_final_dot=True).lower()
        found = self._zone.answer(name, dns.rdatatype.to_text(asked.rdtype))
        if found is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        response.answer.extend(found or ())
        if not found or found[-1].rdtype != asked.rdtype:
            # Tells for how long it may be believed that there is nothing.
            soa = f". . 1 {TTL} {TTL} {TTL} {TTL}"
            response.authority.append(dns.rrset.from_text(".", TTL, "IN", "SOA", soa))

    def _on_packet(self, _events: int) -> None:
        with contextlib.suppress(OSError):
            question, client = self._packets.recvfrom(_CHUNK)

            def send(answer: bytes) -> None:
                with contextlib.suppress(OSError):
                    self._packets.sendto(answer, client)

            self.ask(question, most=None, send=send)

    def _on_connect(self, _events: int) -> None:
        with contextlib.suppress(OSError):
            sock, _ = self._listener.accept()
            _Caller(self._loop, self, sock)


class _Caller:
    """A client that asks over TCP."""

    def __init__(self, loop: Loop, view: View, sock: socket.socket) -> None:
        self._loop = loop
        self._view = view
        self._sock = sock
        self._pending = b""
        sock.settimeout(0)
        loop.watch(sock.fileno(), READABLE, self._on_input)

    def _on_input(self, _events: int) -> None:
        try:
            data = self._sock.recv(_CHUNK)
        except OSError:
            data = b""
        if not data:
            self._loop.forget(self._sock.fileno())
            self._sock.close()
            return
        self._pending += data
        while len(self._pending) >= 2:
            end = 2 + int.from_bytes(self._pending[:2])
            if len(self._pending) < end:
                return
            question, self._pending = self._pending[2:end], self._pending[end:]
            self._view.ask(question, most=_MOST, send=self._send)

    def _send(self, answer: bytes) -> None:
        # Whoever is gone by now, or reads nothing, gets nothing.
        with contextlib.suppress(OSError):
            self._sock.sendall(len(answer).to_bytes(2) + answer)
