"""What name servers answer, to the real resolver, and what is made of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from time import monotonic

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from globaldb.config import configure, parse_node
from globaldb.core.endpoints import HostPattern
from globaldb.core.membership import Member
from globaldb.errors import NoNodeAvailableError
from globaldb.runtime.discovery.dns import Aliases
from globaldb.runtime.discovery.names import Names
from globaldb.runtime.discovery.sources import aliases_of
from globaldb.runtime.discovery.srv import ServiceRecords

AURORA = "us-west-2.rds.amazonaws.com"
CLUSTER = f"shop.cluster-abc1.{AURORA}"
INSTANCE = f"shop-1.abc1.{AURORA}"
PUBLIC = "ec2-1-2-3-4.us-west-2.compute.amazonaws.com"
OURS = HostPattern("us-west-2", f"?.abc1.{AURORA}")
SERVICE = "_postgresql._tcp.db.example"


class Server:
    """A name server that knows *records*, ``NAME TYPE VALUE``, or has a fault."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.place: tuple[str, int] = sock.getsockname()
        self.records: list[str] = []
        self.ttl = 7
        self.code = dns.rcode.NOERROR

    def serve(self) -> None:
        while True:
            text, who = self._sock.recvfrom(4096)
            if not text:
                return
            query = dns.message.from_wire(text)
            answer = dns.message.make_response(query)
            answer.flags |= dns.flags.RA
            [question] = query.question
            name, kind = question.name.to_text(), question.rdtype.name
            if not self._fill(answer, name.lower(), kind):
                answer.set_rcode(dns.rcode.NXDOMAIN)
            if self.code:
                answer.answer.clear()
                answer.set_rcode(self.code)
            self._sock.sendto(answer.to_wire(), who)

    def _fill(self, answer: dns.message.Message, name: str, kind: str) -> bool:
        seen: set[str] = set()
        while True:
            known = [r.split(" ", 2) for r in self.records]
            mine = [r for r in known if f"{r[0]}." == name]
            for wanted in (kind, "CNAME"):
                values = [value for _, its, value in mine if its == wanted]
                if values:
                    answer.answer.append(
                        dns.rrset.from_text(name, self.ttl, "IN", wanted, *values)
                    )
                    break
            else:
                return bool(mine or seen)
            if wanted == kind or name in seen:
                return True
            seen.add(name)
            name = values[0]


@pytest.fixture
def server() -> Iterator[Server]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        found = Server(sock)
        thread = threading.Thread(target=found.serve)
        thread.start()
        yield found
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", found.place)
        thread.join()


def soon() -> float:
    return monotonic() + 5


def aliases(server: Server, *hosts: str, moved: list[str] | None = None) -> Aliases:
    nodes = [parse_node(host, 5432) for host in hosts]

    def move(_: object, target: str) -> None:
        (moved if moved is not None else []).append(target)

    return Aliases(Names(server.place), nodes, move, [OURS])


# Aliases.


def test_a_trail_has_every_name_on_the_way_and_the_shortest_time(server: Server):
    server.records = [
        f"{CLUSTER} CNAME {INSTANCE}.",
        f"{INSTANCE} CNAME {PUBLIC}.",
        f"{PUBLIC} A 10.0.0.1",
    ]
    trail = Names(server.place).trail(CLUSTER.upper(), soon())
    assert trail.names == (CLUSTER, INSTANCE, PUBLIC)
    assert (trail.addresses, trail.ttl) == ({"10.0.0.1"}, 7.0)


def test_an_instance_that_is_open_to_the_internet_is_found_too(server: Server):
    """Its name is an alias of one that tells nothing."""
    server.records = [
        f"{CLUSTER} CNAME {INSTANCE}.",
        f"{INSTANCE} CNAME {PUBLIC}.",
        f"{PUBLIC} A 10.0.0.1",
    ]
    found = aliases(server, CLUSTER).look(soon())
    assert found is not None
    place = (INSTANCE, 5432)
    assert found.members == (Member("shop-1", "us-west-2", place, writer=True),)


def test_an_instance_of_somebody_else_gets_no_place(server: Server):
    """Its certificate would be good for its name, and its name is in a forged answer."""
    other = f"shop-1.zzz9.{AURORA}"
    server.records = [f"{CLUSTER} CNAME {other}.", f"{other} A 10.6.6.6"]
    found = aliases(server, CLUSTER).look(soon())
    assert found is not None
    assert found.members == (Member("shop-1", "us-west-2", None, writer=True),)


def test_a_name_that_leads_in_a_circle_leads_nowhere(server: Server):
    server.records = ["a.example CNAME b.example.", "b.example CNAME a.example."]
    with pytest.raises(NoNodeAvailableError, match=r"a\.example"):
        Names(server.place).trail("a.example", soon())


@pytest.mark.parametrize(
    "code", [dns.rcode.SERVFAIL, dns.rcode.NXDOMAIN, dns.rcode.REFUSED]
)
def test_what_a_name_had_led_to_stays_known_without_an_answer(server: Server, code):
    moved: list[str] = []
    server.records = [f"{CLUSTER} CNAME {INSTANCE}.", f"{INSTANCE} A 10.0.0.1"]
    source = aliases(server, CLUSTER, moved=moved)
    source.look(soon())
    known = dict(source.instances)
    server.code = code
    with pytest.raises(NoNodeAvailableError, match="does not tell the A records"):
        source.look(soon())
    assert source.instances == known
    server.code = dns.rcode.NOERROR
    source.look(soon())
    assert moved == []


def test_one_name_without_an_answer_takes_nothing_from_another(server: Server):
    server.records = [
        f"{CLUSTER} CNAME {INSTANCE}.",
        f"{INSTANCE} A 10.0.0.1",
        "db.example A 10.0.0.2",
    ]
    source = aliases(server, CLUSTER, "db.example")
    source.look(soon())
    server.records = server.records[2:]
    source.look(soon())
    assert list(source.instances.values()) == ["shop-1"]


def test_a_name_of_ones_own_that_leads_to_an_endpoint_stands_in_as_that_does(
    server: Server,
):
    """What is behind it is another server from time to time."""
    server.records = [
        f"db.example CNAME {CLUSTER}.",
        f"{CLUSTER} CNAME {INSTANCE}.",
        f"{INSTANCE} A 10.0.0.1",
        f"one.example CNAME {INSTANCE}.",
    ]
    source = aliases(server, "db.example", "one.example")
    found = source.look(soon())
    assert found is not None
    assert {member.place for member in found.members} == {(INSTANCE, 5432)}
    assert [node.host for node in source.stand_ins] == ["db.example"]


def test_a_name_that_the_dns_never_knew_is_no_failure(server: Server):
    """The system may find it in its own table of hosts."""
    assert aliases(server, "db.example").look(soon()) is None
    with pytest.raises(NoNodeAvailableError):
        aliases(server, CLUSTER).look(soon())


def test_a_name_is_looked_at_again_when_its_records_no_longer_hold(server: Server):
    server.records = ["db.example A 10.0.0.2"]
    source = aliases(server, "db.example")
    pauses = []
    for ttl in (0, 7, 86400):
        server.ttl = ttl
        source.look(soon())
        pauses.append(source.pause)
    assert pauses == [1.0, 7.0, 60.0]


# SRV records.


def services(server: Server, *patterns: HostPattern) -> ServiceRecords:
    return ServiceRecords(Names(server.place), SERVICE, patterns)


def test_the_records_tell_of_hosts_in_their_own_domain(server: Server):
    server.records = [
        f"{SERVICE} SRV 0 5 5432 a.db.example.",
        f"{SERVICE} SRV 10 1 5433 b.eu.db.example.",
    ]
    source = services(server, HostPattern("eu", "?.eu.db.example"))
    found = source.look(soon())
    assert found.members == (
        Member("a.db.example", None, ("a.db.example", 5432)),
        Member("b.eu.db.example", "eu", ("b.eu.db.example", 5433)),
    )
    assert (found.complete, found.problems, source.pause) == (True, (), 7.0)


@pytest.mark.parametrize(
    "host", ["localhost", "evil.example", "evildb.example", "example", "10.0.0.1"]
)
def test_a_record_of_another_domain_is_left_out_and_told_of(server: Server, host):
    """It decides who gets the login, and a certificate is checked for its name."""
    server.records = [
        f"{SERVICE} SRV 0 0 5432 a.db.example.",
        f"{SERVICE} SRV 0 0 5432 {host}.",
    ]
    found = services(server).look(soon())
    assert [member.id for member in found.members] == ["a.db.example"]
    [problem] = found.problems
    assert f"of {SERVICE} tell of {host!r}, which is not in db.example" in problem


def test_a_pattern_lets_a_host_of_another_domain_in(server: Server):
    server.records = [f"{SERVICE} SRV 0 0 5432 a.node.dc1.consul."]
    found = services(server, HostPattern("dc1", "?.node.dc1.consul")).look(soon())
    assert [member.region for member in found.members] == ["dc1"]


def test_records_of_other_domains_alone_are_none(server: Server):
    server.records = [f"{SERVICE} SRV 0 0 5432 evil.example."]
    with pytest.raises(NoNodeAvailableError, match=r"tell of 'evil\.example'"):
        services(server).look(soon())


def test_a_lone_dot_says_that_there_is_no_such_service(server: Server):
    server.records = [f"{SERVICE} SRV 0 0 0 ."]
    with pytest.raises(NoNodeAvailableError, match="knows no SRV records"):
        services(server).look(soon())


def test_short_names_are_tried_in_the_systems_own_domains(monkeypatch):
    asked = {}

    class Resolver:
        def __init__(self, *, configure: bool) -> None:
            asked["configure"] = configure

        def resolve(self, *_: object, search: bool, **__: object) -> object:
            asked["search"] = search
            raise dns.exception.Timeout

    monkeypatch.setattr("dns.resolver.Resolver", Resolver)
    with pytest.raises(NoNodeAvailableError):
        Names(None).trail("db", soon())
    assert asked == {"configure": True, "search": True}


def test_patterns_reach_the_names_that_are_followed(server: Server):
    host, port = server.place
    config = configure(f"postgresql://app@{CLUSTER}/db?dns_server={host}:{port}")
    server.records = [f"{CLUSTER} CNAME {INSTANCE}.", f"{INSTANCE} A 10.0.0.1"]
    source = aliases_of(config, lambda *_: None)
    assert source is not None
    found = source.look(soon())
    assert found is not None
    assert [member.place for member in found.members] == [(INSTANCE, 5432)]
