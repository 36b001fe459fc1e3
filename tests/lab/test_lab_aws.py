"""AWS's API of a lab, as the real boto3 client sees it, describes what is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import dns.resolver
import psycopg
import pytest
from botocore.exceptions import ClientError

from globaldb.lab import Lab, LabAws, LabSpec, LabSpecError

FreshLab = Callable[[LabSpec], Lab]
HOME, FAR, EMPTY = "us-west-2", "ap-south-1", "eu-west-1"
WRITER, READER, OTHER = "us-west-2-1", "ap-south-1-1", "ap-south-1-2"


@pytest.fixture(scope="module")
def own_lab(module_lab: FreshLab) -> Lab:
    """Three regions near each other, one without nodes, whose writer these tests move."""
    regions = {HOME: 0, FAR: 2, EMPTY: 0}
    near = dict.fromkeys([(HOME, FAR), (HOME, EMPTY), (FAR, EMPTY)], 0.002)
    return module_lab(LabSpec(regions=regions, rtt=near))


@pytest.fixture
def aws(own_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[LabAws]:
    """The API, and boto3 told of it as anybody would; the writer is at home."""
    found = own_lab.aws()
    for name, value in found.environment.items():
        monkeypatch.setenv(name, value)
    # Clients of one session share its credentials, which other tests may have set.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    yield found
    if own_lab.writer().name != WRITER:
        own_lab.switchover(HOME)


def members(aws: LabAws, region: str = HOME) -> dict[str, dict[str, Any]]:
    """Every member of the global database by its region, as one region tells it."""
    client = boto3.client("rds", region_name=region)
    answer = client.describe_global_clusters(GlobalClusterIdentifier=aws.global_cluster)
    [found] = answer["GlobalClusters"]
    return {m["DBClusterArn"].split(":")[3]: m for m in found["GlobalClusterMembers"]}


def cluster(region: str) -> dict[str, Any]:
    [found] = boto3.client("rds", region_name=region).describe_db_clusters()[
        "DBClusters"
    ]
    return dict(found)


def secret(aws: LabAws, region: str) -> dict[str, Any]:
    client = boto3.client("secretsmanager", region_name=region)
    answer = client.get_secret_value(SecretId=aws.secret)
    return dict(json.loads(answer["SecretString"]))


def test_the_global_cluster_has_a_member_in_each_region_with_nodes(
    own_lab: Lab, aws: LabAws
) -> None:
    for region in (HOME, FAR, EMPTY):
        found = members(aws, region)
        assert {name: m["IsWriter"] for name, m in found.items()} == {
            HOME: True,
            FAR: False,
        }
        assert found[HOME]["Readers"] == [found[FAR]["DBClusterArn"]]
        assert found[FAR]["SynchronizationStatus"] == "connected"
    answer = boto3.client("rds").describe_global_clusters()
    [world] = answer["GlobalClusters"]
    assert world["Endpoint"] == own_lab.endpoints.global_writer
    assert (world["Engine"], world["Status"]) == ("aurora-postgresql", "available")


def test_instances_have_the_names_and_the_port_that_lead_to_the_nodes(
    own_lab: Lab, aws: LabAws
) -> None:
    host, port = own_lab.dns(FAR)
    asking = dns.resolver.Resolver(configure=False)
    asking.nameservers, asking.port = [host], port
    seen = []
    for region in (HOME, FAR):
        pages = boto3.client("rds", region_name=region).get_paginator(
            "describe_db_instances"
        )
        wanted = [{"Name": "db-cluster-id", "Values": [aws.global_cluster]}]
        for page in pages.paginate(Filters=wanted):
            for each in page["DBInstances"]:
                node = each["DBInstanceIdentifier"]
                [address] = asking.resolve(each["Endpoint"]["Address"], "A")
                where = own_lab.options(FAR, node)
                spot = (where["host"], where["port"])
                assert (address.address, each["Endpoint"]["Port"]) == spot
                assert each["DBInstanceStatus"] == "available"
                seen.append(node)
    assert seen == [WRITER, READER, OTHER]


def test_only_the_writer_is_called_a_writer(own_lab: Lab, aws: LabAws) -> None:
    called = {
        each["DBInstanceIdentifier"]: each["IsClusterWriter"]
        for region in (HOME, FAR)
        for each in cluster(region)["DBClusterMembers"]
    }
    assert called == {WRITER: True, READER: False, OTHER: False}


def test_a_secondary_cluster_has_a_reader_endpoint_only(
    own_lab: Lab, aws: LabAws
) -> None:
    ends = own_lab.endpoints
    assert cluster(HOME)["Endpoint"] == ends.writer(HOME)
    assert "Endpoint" not in cluster(FAR)
    assert cluster(FAR)["ReaderEndpoint"] == ends.reader(FAR)
    assert cluster(FAR)["GlobalWriteForwardingStatus"] == "disabled"
    assert (
        boto3.client("rds", region_name=EMPTY).describe_db_clusters()["DBClusters"]
        == []
    )


@pytest.mark.parametrize("move", ["switchover", "failover"])
def test_the_api_follows_the_writer(own_lab: Lab, aws: LabAws, move: str) -> None:
    getattr(own_lab, move)(OTHER)
    found = members(aws)
    assert {name: m["IsWriter"] for name, m in found.items()} == {
        HOME: False,
        FAR: True,
    }
    assert found[FAR]["Readers"] == [found[HOME]["DBClusterArn"]]
    assert [m["IsClusterWriter"] for m in cluster(FAR)["DBClusterMembers"]] == [
        False,
        True,
    ]
    assert cluster(FAR)["Endpoint"] == own_lab.endpoints.writer(FAR)
    assert "Endpoint" not in cluster(HOME)


def test_what_is_not_there_is_a_fault(aws: LabAws) -> None:
    client = boto3.client("rds")
    with pytest.raises(client.exceptions.GlobalClusterNotFoundFault):
        client.describe_global_clusters(GlobalClusterIdentifier="another")
    with pytest.raises(client.exceptions.DBClusterNotFoundFault):
        client.describe_db_clusters(DBClusterIdentifier="another")
    with pytest.raises(client.exceptions.DBInstanceNotFoundFault):
        client.describe_db_instances(DBInstanceIdentifier="another")


def test_global_clusters_are_filtered_by_region_alone(aws: LabAws) -> None:
    client = boto3.client("rds")

    def found(region: str) -> int:
        wanted = [{"Name": "region", "Values": [region]}]
        return len(client.describe_global_clusters(Filters=wanted)["GlobalClusters"])

    assert (found(FAR), found(EMPTY)) == (1, 0)
    with pytest.raises(ClientError, match="Unrecognized filter name: colour"):
        client.describe_global_clusters(Filters=[{"Name": "colour", "Values": ["red"]}])


def test_the_secret_has_the_login_of_applications_in_every_region(
    own_lab: Lab, aws: LabAws
) -> None:
    for region in (HOME, FAR, EMPTY):
        login = secret(aws, region)
        where = own_lab.options(HOME, WRITER)
        assert login["username"] == where["user"]
        assert login["password"] == where["password"]
        assert (login["engine"], login["dbname"]) == ("postgres", where["dbname"])


def test_a_rotated_password_is_the_only_one_that_logs_in(
    own_lab: Lab, aws: LabAws
) -> None:
    before = own_lab.options(HOME, WRITER)
    with psycopg.connect(**before) as open_one:
        new = own_lab.rotate_password()
        assert new != before["password"]
        assert [secret(aws, region)["password"] for region in (HOME, FAR)] == [new] * 2
        assert open_one.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="password authentication"):
        psycopg.connect(**before)
    for holder in (own_lab, Lab.attach(own_lab.name)):
        psycopg.connect(holder.dsn(HOME, WRITER)).close()


def test_a_secret_asked_for_later_has_the_password_of_then(fresh_lab: FreshLab) -> None:
    lab = fresh_lab(LabSpec(regions={"mars-north": 0}, engine="mariadb"))
    new = lab.rotate_password()
    aws = lab.aws()
    assert lab.aws() == aws
    session = boto3.Session(
        aws_access_key_id="test", aws_secret_access_key="test", region_name="mars-north"
    )
    client = session.client("secretsmanager", endpoint_url=aws.url)
    login = json.loads(client.get_secret_value(SecretId=aws.secret)["SecretString"])
    assert (login["engine"], login["password"]) == ("mysql", new)
    [found] = session.client("rds", endpoint_url=aws.url).describe_db_clusters()[
        "DBClusters"
    ]
    assert found["Engine"] == "aurora-mysql"


def test_a_lab_with_many_ports_has_no_such_api(fresh_lab: FreshLab) -> None:
    lab = fresh_lab(LabSpec(regions={HOME: 0}, single_address=True))
    with pytest.raises(LabSpecError, match="start it without --single-address"):
        lab.aws()
