"""What the RDS API may answer, to the real client, and what is made of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
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
        #: Actions that are refused, and actions with the region where nobody answers.
        self.refused: set[str] = set()
        self.silent: set[tuple[str, str]] = set()
        self.status = "available"
        self.endpoint = True
        self.over = threading.Event()

    def answer(self, action: str, region: str) -> tuple[int, str]:
        if (action, region) in self.silent:
            self.over.wait(30)
        if f"rds:{action}" in self.refused:
            return 403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
        body = {
            "DescribeGlobalClusters": self.globals_,
            "DescribeDBClusters": self.clusters,
            "DescribeDBInstances": self.instances,
        }[action](region)
        return 200, f"<{action}Result>{body}</{action}Result>"

    def globals_(self, _region: str) -> str:
        members = "".join(
            "<GlobalClusterMember>"
            f"<DBClusterArn>{ARN.format(region, 'shop-' + region)}</DBClusterArn>"
            f"<IsWriter>{str(region == HOME).lower()}</IsWriter></GlobalClusterMember>"
            for region in (HOME, FAR)
        )
        return (
            "<GlobalClusters><GlobalClusterMember>"
            "<GlobalClusterIdentifier>shop</GlobalClusterIdentifier>"
            f"<GlobalClusterMembers>{members}</GlobalClusterMembers>"
            "</GlobalClusterMember></GlobalClusters>"
        )

    def clusters(self, region: str) -> str:
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

    def instances(self, region: str) -> str:
        place = f"<Address>{region}-1.db.example</Address><Port>7</Port>"
        one = (
            f"<DBInstanceIdentifier>{region}-1</DBInstanceIdentifier>"
            f"<DBInstanceStatus>{self.status}</DBInstanceStatus>"
            f"<DBClusterIdentifier>shop-{region}</DBClusterIdentifier>"
            + (f"<Endpoint>{place}</Endpoint>" if self.endpoint else "")
        )
        other = (
            "<DBInstanceIdentifier>other</DBInstanceIdentifier>"
            "<DBClusterIdentifier>other</DBClusterIdentifier>"
        )
        return (
            f"<DBInstances><DBInstance>{one}</DBInstance>"
            f"<DBInstance>{other}</DBInstance></DBInstances>"
        )


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """An API that boto3 takes for AWS's."""
    found = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            [action] = parse_qs(self.rfile.read(size).decode())["Action"]
            scope = self.headers["Authorization"].partition("Credential=")[2]
            status, body = found.answer(action, scope.split("/")[2])
            text = f"<{action}Response>{body}</{action}Response>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv(
            "AWS_ENDPOINT_URL_RDS", f"http://127.0.0.1:{server.server_port}"
        )
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        yield found
        found.over.set()
        server.shutdown()
        thread.join()


def look(patience: float = 20.0) -> Finding:
    return RdsApi("shop", HOME, patience).look(monotonic() + patience)


def test_every_instance_of_the_database_is_found_in_every_region(api: Api):
    found = look()
    assert (found.complete, found.problems) == (True, ())
    assert found.members == (
        Member(f"{HOME}-1", HOME, (f"{HOME}-1.db.example", 7), writer=True),
        Member(f"{FAR}-1", FAR, (f"{FAR}-1.db.example", 7), writer=False),
    )


@pytest.mark.parametrize("right", RIGHTS)
def test_a_right_that_is_missing_is_named_with_all_that_are_needed(
    api: Api, right: str
):
    api.refused.add(right)
    with pytest.raises(NoNodeAvailableError) as caught:
        look()
    assert str(caught.value) == (
        f"the RDS API refuses {right} in {HOME}; the role of this process needs "
        "rds:DescribeGlobalClusters, rds:DescribeDBClusters, rds:DescribeDBInstances"
    )


def test_a_region_that_does_not_answer_leaves_the_others_found(api: Api):
    api.silent.add(("DescribeDBInstances", FAR))
    found = look(patience=2.0)
    assert [member.id for member in found.members] == [f"{HOME}-1"]
    assert not found.complete
    [problem] = found.problems
    assert f"in {FAR} does not answer rds:DescribeDBInstances: Read" in problem


def test_an_api_that_does_not_answer_is_not_waited_for(api: Api):
    api.silent.add(("DescribeGlobalClusters", HOME))
    began = monotonic()
    with pytest.raises(NoNodeAvailableError, match="does not answer"):
        look(patience=0.5)
    assert monotonic() - began < 10


def test_an_instance_that_is_being_made_has_no_place(api: Api):
    api.endpoint = False
    assert {member.place for member in look().members} == {None}


def test_an_instance_that_is_being_deleted_is_told_to_be(api: Api):
    api.status = "deleting"
    assert all(member.deleted for member in look().members)
