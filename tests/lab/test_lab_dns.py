"""The lab's name server: a view for each region, which follows the writer, and fails."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.resolver
import psycopg
import pytest

from globaldb.lab import Lab, LabSpec, LabSpecError
from globaldb.lab.addresses import choose_addresses
from globaldb.lab.names import Names
from globaldb.lab.waiting import wait_until

FreshLab = Callable[[LabSpec], Lab]
HOME, FAR = "us-west-2", "ap-south-1"
WRITER, READER, OTHER = "us-west-2-1", "ap-south-1-1", "ap-south-1-2"
SOON = 10.0


@pytest.fixture(scope="module")
def own_lab(module_lab: FreshLab) -> Lab:
    """Two regions near each other, whose writer these tests move."""
    return module_lab(LabSpec(regions={HOME: 0, FAR: 2}, rtt={(HOME, FAR): 0.004}))


@pytest.fixture
def well(own_lab: Lab) -> Iterator[Lab]:
    """The same with its writer at home and nothing wrong with it, before and after."""
    yield own_lab
    own_lab.restore()
    if own_lab.writer().name != WRITER:
        own_lab.switchover(HOME)


def resolver(lab: Lab, region: str, *, lifetime: float = SOON) -> dns.resolver.Resolver:
    """What a client in *region* asks: the lab's name server, and nobody else."""
    asking = dns.resolver.Resolver(configure=False)
    host, asking.port = lab.dns(region)
    asking.nameservers = [host]
    asking.lifetime = lifetime
    return asking


def resolve(lab: Lab, region: str, name: str) -> tuple[str, str]:
    """Return the name that *name* comes to in the end, and its only address."""
    answer = resolver(lab, region).resolve(name, "A")
    [address] = answer
    return answer.canonical_name.to_text(omit_final_dot=True), address.address


def spot(lab: Lab, region: str, node: str) -> str:
    """The address of the link from *region* to *node*."""
    return str(lab.options(region, node)["host"])


@pytest.mark.parametrize("region", [HOME, FAR])
def test_an_instance_has_the_address_that_leads_there_from_each_region(
    well: Lab, region: str
) -> None:
    for node in well.nodes:
        name = well.endpoints.instance(node.name, node.region)
        assert resolve(well, region, name) == (name, spot(well, region, node.name))
        own = well.endpoints.host(node.name, node.region)
        assert resolve(well, region, own.upper())[1] == spot(well, region, node.name)


def test_a_pattern_names_the_instances_of_its_region(well: Lab) -> None:
    name = well.endpoints.pattern(FAR).replace("?", READER)
    assert name == f"{READER}.lab1abc.{FAR}.rds.amazonaws.com"
    assert resolve(well, HOME, name)[1] == spot(well, HOME, READER)


def test_the_global_name_leads_over_the_cluster_to_the_writer(well: Lab) -> None:
    ends = well.endpoints
    asking = resolver(well, FAR)
    answer = asking.resolve(ends.global_writer, "A")
    steps = [(rrset.name.to_text(), rrset.ttl) for rrset in answer.response.answer]
    chain = [ends.global_writer, ends.writer(HOME), ends.instance(WRITER, HOME)]
    assert steps == [(f"{name}.", 5) for name in chain]
    [alias] = asking.resolve(ends.global_writer, "CNAME")
    assert alias.target.to_text() == f"{ends.writer(HOME)}."
    # The port is the same for all of a region, so a name is enough to connect.
    options = well.options(FAR, READER)
    where = {"host": ends.global_writer, "hostaddr": answer[0].address}
    with psycopg.connect(**{**options, **where}) as connection:
        assert connection.execute("SHOW cluster_name").fetchone() == (WRITER,)


def test_the_reader_endpoint_names_each_reader_in_turn(well: Lab) -> None:
    ends = well.endpoints
    seen = [resolve(well, HOME, ends.reader(FAR))[0] for _ in range(4)]
    both = [ends.instance(node, FAR) for node in (READER, OTHER)]
    assert sorted(seen) == sorted(both * 2)
    assert seen[0] != seen[1]


def test_a_reader_endpoint_without_readers_is_the_writer(well: Lab) -> None:
    ends = well.endpoints
    assert resolve(well, FAR, ends.reader(HOME))[0] == ends.instance(WRITER, HOME)


def test_a_dead_reader_leaves_the_reader_endpoint(well: Lab) -> None:
    ends = well.endpoints
    well.kill(READER)
    seen = {resolve(well, FAR, ends.reader(FAR))[0] for _ in range(4)}
    assert seen == {ends.instance(OTHER, FAR)}
    well.restore()
    assert len({resolve(well, FAR, ends.reader(FAR))[0] for _ in range(4)}) == 2


def test_service_records_name_every_node_or_those_of_a_region(well: Lab) -> None:
    ends = well.endpoints
    for place, names in ((None, [WRITER, READER, OTHER]), (FAR, [READER, OTHER])):
        answer = resolver(well, HOME).resolve(ends.service(place), "SRV")
        found = {
            (each.target.to_text(omit_final_dot=True), each.port) for each in answer
        }
        assert found == {
            (ends.host(node.name, node.region), well.options(HOME, node.name)["port"])
            for node in well.nodes
            if node.name in names
        }
    assert ends.service() == f"_postgresql._tcp.{well.name}.lab"


def test_names_that_are_not_there_are_told_from_types_that_are_not(well: Lab) -> None:
    ends = well.endpoints
    for missing in (ends.writer(FAR), ends.instance("none", FAR), "example.com"):
        with pytest.raises(dns.resolver.NXDOMAIN):
            resolver(well, FAR).resolve(missing, "A")
    for present in (ends.global_writer, ends.instance(READER, FAR)):
        with pytest.raises(dns.resolver.NoAnswer):
            resolver(well, FAR).resolve(present, "AAAA")


def test_tcp_gives_the_same_answers_as_udp(well: Lab) -> None:
    host, port = well.dns(FAR)
    questions = [
        dns.message.make_query(name, kind)
        for name, kind in (
            (well.endpoints.global_writer, "A"),
            (well.endpoints.service(), "SRV"),
        )
    ]
    with closing(socket.create_connection((host, port), timeout=SOON)) as sock:
        for question in questions:
            over_udp = dns.query.udp(question, host, SOON, port)
            assert dns.query.tcp(question, host, SOON, port, sock=sock) == over_udp


def test_what_does_not_fit_a_packet_is_asked_for_again_over_tcp(tmp_path: Path) -> None:
    # Names need no servers; these fill more than the 512 bytes of plain DNS.
    spec = LabSpec(regions={HOME: 0, FAR: 20})
    book = choose_addresses(2, 21, single_address=False, chance=random.Random())
    with closing(book.claim[0]):
        names = Names("many", spec, book, tmp_path / "log", dict.fromkeys(spec.regions))
        try:
            names.wait_ready()
            host, port = book.names[0]
            question = dns.message.make_query("_postgresql._tcp.many.lab", "SRV")
            cut = dns.query.udp(question, host, SOON, port)
            assert cut.flags & dns.flags.TC
            whole, by_tcp = dns.query.udp_with_fallback(question, host, SOON, port)
            assert by_tcp
            assert len(whole.answer[0]) == 21
            roomy = dns.message.make_query(
                question.question[0].name, "SRV", payload=4096
            )
            assert not dns.query.udp(roomy, host, SOON, port).flags & dns.flags.TC
        finally:
            names.stop()


@pytest.mark.parametrize("move", ["switchover", "failover"])
def test_names_follow_the_writer(well: Lab, move: str) -> None:
    ends = well.endpoints
    writer = getattr(well, move)(READER)
    assert writer == READER
    for region in (HOME, FAR):
        found = resolve(well, region, ends.global_writer)
        assert found == (ends.instance(READER, FAR), spot(well, region, READER))
        assert resolve(well, region, ends.writer(FAR)) == found
        assert resolve(well, region, ends.reader(FAR))[0] == ends.instance(OTHER, FAR)
        assert resolve(well, region, ends.reader(HOME))[0] == ends.instance(
            WRITER, HOME
        )
        with pytest.raises(dns.resolver.NXDOMAIN):
            resolve(well, region, ends.writer(HOME))


def test_a_change_shows_late_if_dns_lags(well: Lab) -> None:
    ends = well.endpoints
    well.dns_lag(3600)
    well.kill(OTHER)
    assert len({resolve(well, FAR, ends.reader(FAR))[0] for _ in range(4)}) == 2
    well.restore()
    well.dns_lag(0.2)
    start = time.monotonic()
    well.switchover(READER)
    wait_until(
        lambda: resolve(well, FAR, ends.global_writer)[0] == ends.instance(READER, FAR),
        limit=SOON,
        what="DNS never follows",
    )
    assert time.monotonic() - start > 0.2


def test_dns_that_drops_questions_never_answers_there(well: Lab) -> None:
    well.dns_fault("drop", FAR)
    for tcp in (False, True):
        with pytest.raises(dns.resolver.LifetimeTimeout):
            resolver(well, FAR, lifetime=0.2).resolve(
                well.endpoints.global_writer, "A", tcp=tcp
            )
    resolve(well, HOME, well.endpoints.global_writer)
    assert well.status()["dns_faults"] == {FAR: "drop"}
    well.heal()
    resolve(well, FAR, well.endpoints.global_writer)
    assert well.status()["dns_faults"] == {}


def test_dns_that_fails_says_so(well: Lab) -> None:
    name = well.endpoints.instance(READER, FAR)
    question = dns.message.make_query(name, "A")
    for kind, code in (
        ("servfail", dns.rcode.SERVFAIL),
        ("nxdomain", dns.rcode.NXDOMAIN),
    ):
        well.dns_fault(kind)
        for region in (HOME, FAR):
            host, port = well.dns(region)
            answer = dns.query.udp(question, host, SOON, port)
            assert (answer.rcode(), answer.answer) == (code, [])


def test_dns_that_is_slow_answers_in_the_end(well: Lab) -> None:
    well.dns_fault("delay", FAR, seconds=0.3)
    start = time.monotonic()
    resolve(well, FAR, well.endpoints.global_writer)
    assert time.monotonic() - start >= 0.3


def test_stale_dns_shows_the_old_writer_until_it_is_healed(well: Lab) -> None:
    ends = well.endpoints
    well.dns_fault("stale", HOME)
    well.switchover(READER)
    assert resolve(well, HOME, ends.global_writer)[0] == ends.instance(WRITER, HOME)
    assert resolve(well, FAR, ends.global_writer)[0] == ends.instance(READER, FAR)
    well.heal()
    assert resolve(well, HOME, ends.global_writer)[0] == ends.instance(READER, FAR)


def test_a_fault_that_dns_cannot_have_is_refused(well: Lab) -> None:
    with pytest.raises(
        LabSpecError, match="use drop, servfail, nxdomain, delay, stale"
    ):
        well.dns_fault("explode")  # type: ignore[arg-type]
    with pytest.raises(LabSpecError, match="no region 'mars'"):
        well.dns_fault("drop", "mars")
    with pytest.raises(LabSpecError, match="not between 0 and 10 seconds"):
        well.dns_fault("delay", seconds=60)


def test_nonsense_does_not_end_the_name_server(well: Lab) -> None:
    host, port = well.dns(HOME)
    words = (b"", b"\0", b"nonsense of some length", b"\xff" * 40)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as packets:
        for each in words:
            packets.sendto(each, (host, port))
    for each in words:
        with closing(socket.create_connection((host, port), timeout=SOON)) as sock:
            sock.sendall(len(each).to_bytes(2) + each)
    resolve(well, HOME, well.endpoints.global_writer)


def test_a_lab_on_one_address_has_names_too(fresh_lab: FreshLab) -> None:
    lab = fresh_lab(LabSpec(regions={HOME: 0, FAR: 0}, single_address=True))
    for region in (HOME, FAR):
        answer = resolver(lab, region).resolve(lab.endpoints.service(), "SRV")
        assert [each.port for each in answer] == [lab.options(region, WRITER)["port"]]
        assert resolve(lab, region, answer[0].target.to_text())[1] == "127.0.0.1"
