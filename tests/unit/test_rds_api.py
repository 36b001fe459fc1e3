"""What the RDS API may answer, to the real client, and what is made of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from urllib.parse import parse_qs

import pytest

from globaldb.core.membership import Finding, Member
from globaldb.errors import NoNodeAvailableError
from globaldb.runtime.discovery.rds import RIGHTS, RdsApi

ARN = "arn:aws:rds:{}:123456789012:cluster:{}"
HOME, FAR = "us-west-2", "ap-south-1"


class Api:
    """Answers that stand for an account; each may be taken away."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.restore()

    def restore(self) -> None:
        """Answer everything."""
        #: Actions that are refused, and actions with the region where nobody answers.
        self.refused: set[str] = set()
        self.silent: set[tuple[str, str]] = set()
        #: What is answered to every question in a region instead.
        self.errors: dict[str, str] = {}
        #: Regions whose cluster has no instance, and those that write.
        self.headless: set[str] = set()
        self.writing = {HOME}
        #: One instance a page, as many as these.
        self.pages = 1
        self.asked: list[tuple[str, str]] = []
        self.status = "available"
        self.endpoint = True

    def answer(self, action: str, region: str, marker: int) -> tuple[int, str]:
        self.asked.append((action, region))
        if region in self.errors:
            code = self.errors[region]
            return 400, f"<Error><Code>{code}</Code><Message>no</Message></Error>"
        if (action, region) in self.silent:
            self.over.wait(30)
        if f"rds:{action}" in self.refused:
            return 403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
        body = {
            "DescribeGlobalClusters": self.globals_,
            "DescribeDBClusters": self.clusters,
            "DescribeDBInstances": self.instances,
        }[action](region, marker)
        return 200, f"<{action}Result>{body}</{action}Result>"

    def globals_(self, _region: str, _marker: int) -> str:
        members = "".join(
            "<GlobalClusterMember>"
            f"<DBClusterArn>{ARN.format(region, 'shop-' + region)}</DBClusterArn>"
            f"<IsWriter>{str(region in self.writing).lower()}</IsWriter></GlobalClusterMember>"
            for region in (HOME, FAR)
        )
        return (
            "<GlobalClusters><GlobalClusterMember>"
            "<GlobalClusterIdentifier>shop</GlobalClusterIdentifier>"
            f"<GlobalClusterMembers>{members}</GlobalClusterMembers>"
            "</GlobalClusterMember></GlobalClusters>"
        )

    def clusters(self, region: str, _marker: int) -> str:
        # In a region of readers too, the first one is told to be the writer.
        return (
            "<DBClusters><DBCluster>"
            f"<DBClusterArn>{ARN.format(region, 'shop-' + region)}</DBClusterArn>"
            f"<DBClusterIdentifier>shop-{region}</DBClusterIdentifier>"
            "<DBClusterMembers><DBClusterMember>"
            f"<DBInstanceIdentifier>{region}-1</DBInstanceIdentifier>"
            "<IsClusterWriter>true</IsClusterWriter>"
            "</DBClusterMember></DBClusterMembers></DBCluster></DBClusters>"
        )

    def instances(self, region: str, marker: int) -> str:
        if region in self.headless:
            return "<DBInstances/>"
        name = f"{region}-{marker}"
        place = f"<Address>{name}.db.example</Address><Port>7</Port>"
        one = (
            f"<DBInstanceIdentifier>{name}</DBInstanceIdentifier>"
            f"<DBInstanceStatus>{self.status}</DBInstanceStatus>"
            f"<DBClusterIdentifier>shop-{region}</DBClusterIdentifier>"
            + (f"<Endpoint>{place}</Endpoint>" if self.endpoint else "")
        )
        other = (
            "<DBInstanceIdentifier>other</DBInstanceIdentifier>"
            "<DBClusterIdentifier>other</DBClusterIdentifier>"
        )
        more = f"<Marker>{marker + 1}</Marker>" if marker < self.pages else ""
        return (
            f"<DBInstances><DBInstance>{one}</DBInstance>"
            f"<DBInstance>{other}</DBInstance></DBInstances>{more}"
        )


@pytest.fixture(scope="module")
def served() -> Iterator[Api]:
    """An API that boto3 takes for AWS's."""
    found = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            given = parse_qs(self.rfile.read(size).decode())
            [action], [marker] = given["Action"], given.get("Marker", ["1"])
            scope = self.headers["Authorization"].partition("Credential=")[2]
            status, body = found.answer(action, scope.split("/")[2], int(marker))
            text = f"<{action}Response>{body}</{action}Response>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    with (
        pytest.MonkeyPatch.context() as patch,
        ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server,
    ):
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        patch.setenv("AWS_ENDPOINT_URL_RDS", f"http://127.0.0.1:{server.server_port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        yield found
        found.over.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def api(served: Api) -> Api:
    """The same for each test, as it was."""
    served.restore()
    return served


@pytest.fixture(scope="module")
def asking() -> RdsApi:
    return RdsApi("shop", HOME, 20.0)


Look = Callable[[], Finding]


@pytest.fixture
def look(api: Api, asking: RdsApi) -> Look:
    """Ask as for the first time: clients alone are kept, which take a while."""
    asking._regions = ()
    return lambda: asking.look(monotonic() + 20)


def impatient(seconds: float) -> Finding:
    return RdsApi("shop", HOME, seconds).look(monotonic() + seconds)


def test_every_instance_of_the_database_is_found_in_every_region(api: Api, look: Look):
    found = look()
    assert (found.complete, found.problems) == (True, ())
    assert found.members == (
        Member(f"{HOME}-1", HOME, (f"{HOME}-1.db.example", 7), writer=True),
        Member(f"{FAR}-1", FAR, (f"{FAR}-1.db.example", 7), writer=False),
    )


@pytest.mark.parametrize("right", RIGHTS)
def test_a_right_that_is_missing_is_named_with_all_that_are_needed(
    api: Api, look: Look, right: str
):
    api.refused.add(right)
    with pytest.raises(NoNodeAvailableError) as caught:
        look()
    assert str(caught.value) == (
        f"the RDS API refuses {right} in {HOME}; the role of this process needs "
        "rds:DescribeGlobalClusters, rds:DescribeDBClusters, rds:DescribeDBInstances"
    )


def test_a_region_that_does_not_answer_leaves_the_others_found(api: Api, look: Look):
    api.silent.add(("DescribeDBInstances", FAR))
    found = impatient(2.0)
    assert [member.id for member in found.members] == [f"{HOME}-1"]
    assert not found.complete
    [problem] = found.problems
    assert f"in {FAR} does not answer rds:DescribeDBInstances: Read" in problem


def test_an_api_that_does_not_answer_is_not_waited_for(api: Api, look: Look):
    api.silent.add(("DescribeGlobalClusters", HOME))
    began = monotonic()
    with pytest.raises(NoNodeAvailableError, match="does not answer"):
        impatient(0.5)
    assert monotonic() - began < 10


def test_an_instance_that_is_being_made_has_no_place(api: Api, look: Look):
    api.endpoint = False
    assert {member.place for member in look().members} == {None}


def test_an_instance_that_is_being_deleted_is_told_to_be(api: Api, look: Look):
    api.status = "deleting"
    assert all(member.deleted for member in look().members)


def test_every_page_of_an_answer_is_read(api: Api, look: Look):
    api.pages = 3
    found = [member.id for member in look().members]
    assert found == [f"{region}-{n}" for region in (HOME, FAR) for n in (1, 2, 3)]


@pytest.mark.parametrize("code", ["Throttling", "RequestLimitExceeded"])
def test_an_api_that_is_asked_too_often_is_not_asked_again_at_once(
    api: Api, look: Look, code: str
):
    api.errors[HOME] = code
    with pytest.raises(NoNodeAvailableError) as caught:
        look()
    assert str(caught.value) == (
        f"the RDS API in {HOME} does not answer rds:DescribeGlobalClusters: {code}; "
        "it is asked less often from now on. Have fewer processes ask it"
    )
    assert len(api.asked) == 1


def test_a_region_without_instances_takes_nothing_from_the_others(api: Api, look: Look):
    api.headless.add(FAR)
    found = look()
    assert [member.id for member in found.members] == [f"{HOME}-1"]
    assert (found.complete, found.problems) == (True, ())


@pytest.mark.parametrize("writing", [set(), {HOME, FAR}])
def test_while_the_writer_moves_no_region_or_two_may_be_told_to_write(
    api: Api, look: Look, writing: set[str]
):
    """Each node is asked then what it is, as always."""
    api.writing = writing
    found = look()
    assert {member.region for member in found.members if member.writer} == writing
    assert [member.id for member in found.members] == [f"{HOME}-1", f"{FAR}-1"]


def test_another_region_is_asked_while_the_first_has_no_api(api: Api, look: Look):
    before = look()
    api.errors[HOME] = "ServiceUnavailable"
    found = look()
    assert [member.id for member in found.members] == [f"{FAR}-1"]
    assert not found.complete
    assert f"in {HOME} does not answer rds:DescribeDBClusters" in found.problems[0]
    api.errors.clear()
    assert look().members == before.members


@pytest.mark.parametrize(
    "code", ["ExpiredToken", "InvalidClientTokenId", "SignatureDoesNotMatch"]
)
def test_credentials_that_are_no_good_are_told_from_rights_that_are_missing(
    api: Api, look: Look, code: str
):
    api.errors[HOME] = code
    with pytest.raises(NoNodeAvailableError, match=f"{code}; .*credentials of this"):
        look()
