"""Nodes from the RDS API: every instance of a global database, in all its regions."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from globaldb.core.membership import Finding, Member
from globaldb.errors import ConfigurationError, NoNodeAvailableError
from globaldb.runtime import aws

if TYPE_CHECKING:
    from collections.abc import Iterable

#: What the role of this process has to be allowed.
RIGHTS: Final = (
    "rds:DescribeGlobalClusters",
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
)
_REFUSALS: Final = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
#: Regions asked at the same time: a global database has 11 at the most.
_AT_ONCE: Final = 11
_DELETED: Final = ("deleting", "deleted")


@dataclass(frozen=True, slots=True)
class _Cluster:
    """The part of a global database that is in one region."""

    arn: str
    writes: bool

    @property
    def region(self) -> str:
        """The region, which the name of the resource tells: no label does."""
        return self.arn.split(":")[3]


class RdsApi:
    """The global database called *identifier*.

    Without *region* AWS's own configuration says where to ask first. A call lasts
    about *patience* seconds at the most. Raises `ConfigurationError` without boto3.
    """

    name: Final = "rds"
    pause: Final = 30.0
    urgent: Final = True
    adds: Final = True

    def __init__(self, identifier: str, region: str | None, patience: float) -> None:
        if find_spec("boto3") is None:
            raise ConfigurationError(
                "global_cluster asks AWS through boto3, which is missing: "
                "pip install 'globaldb[aws]'"
            )
        self._identifier = identifier
        self._region = region
        self._patience = patience
        #: Where else the database was found: its API may be gone with a region.
        self._regions: tuple[str, ...] = ()
        #: One for all regions: each reads descriptions of AWS for half a second.
        self._session: Any = None
        self._clients: dict[str | None, Any] = {}
        self._making = threading.Lock()

    def look(self, deadline: float) -> Finding:
        """Ask for the clusters, then for the instances of each, all regions at once.

        Raises `NoNodeAvailableError` with what AWS, or the way there, has to say, and
        `ConfigurationError` where no region is known. A region that does not answer
        makes the finding incomplete.
        """
        clusters = self._everywhere()
        self._regions = tuple(cluster.region for cluster in clusters)
        with ThreadPoolExecutor(_AT_ONCE, "globaldb-rds") as threads:
            asked = [threads.submit(self._instances, cluster) for cluster in clusters]
            found: list[Member] = []
            problems: list[NoNodeAvailableError] = []
            for answer in asked:
                try:
                    found += answer.result()
                except NoNodeAvailableError as problem:
                    problems.append(problem)
        if problems and not found:
            raise problems[0]
        del deadline  # each call has a limit of its own
        return Finding(
            self.name,
            tuple(found),
            complete=not problems,
            at=monotonic(),
            problems=tuple(str(problem) for problem in problems),
        )

    def _everywhere(self) -> list[_Cluster]:
        """Ask the first region for the clusters, and the others while it fails."""
        first: NoNodeAvailableError | None = None
        for region in dict.fromkeys((self._region, *self._regions)):
            try:
                return self._clusters(region)
            except NoNodeAvailableError as problem:
                first = first or problem
        assert first is not None  # noqa: S101 - one region is asked at least
        raise first

    def _clusters(self, region: str | None) -> list[_Cluster]:
        pages = self._pages(region, "describe_global_clusters", RIGHTS[0])
        known = []
        for page in pages:
            for each in page["GlobalClusters"]:
                if each["GlobalClusterIdentifier"] == self._identifier:
                    return [
                        _Cluster(member["DBClusterArn"], bool(member.get("IsWriter")))
                        for member in each.get("GlobalClusterMembers", ())
                    ]
                known.append(each["GlobalClusterIdentifier"])
        raise NoNodeAvailableError(
            f"the RDS API knows no global database {self._identifier!r} in this "
            f"account; it has: {', '.join(sorted(known)) or 'none'}"
        )

    def _instances(self, cluster: _Cluster) -> list[Member]:
        region = cluster.region
        writers: dict[str, bool] = {}
        clusters = self._pages(
            region, "describe_db_clusters", RIGHTS[1], DBClusterIdentifier=cluster.arn
        )
        name = None
        for page in clusters:
            for each in page["DBClusters"]:
                if each["DBClusterArn"] != cluster.arn:
                    continue
                name = each["DBClusterIdentifier"]
                for member in each.get("DBClusterMembers", ()):
                    writes = cluster.writes and bool(member.get("IsClusterWriter"))
                    writers[member["DBInstanceIdentifier"]] = writes
        if name is None:
            return []
        instances = self._pages(
            region,
            "describe_db_instances",
            RIGHTS[2],
            Filters=[{"Name": "db-cluster-id", "Values": [name]}],
        )
        return [
            _member(each, region, writers)
            for page in instances
            for each in page["DBInstances"]
            if each.get("DBClusterIdentifier") == name
        ]

    def _pages(
        self, region: str | None, call: str, right: str, **given: Any
    ) -> Iterable[dict[str, Any]]:
        """Return the answers to *call*; raises `NoNodeAvailableError` for a refusal."""
        client = self._client(region)
        try:
            return list(client.get_paginator(call).paginate(**given))
        except aws.failures() as error:
            where = client.meta.region_name
            response = getattr(error, "response", None) or {}
            code = response.get("Error", {}).get("Code", "")
            if code in _REFUSALS:
                raise NoNodeAvailableError(
                    f"the RDS API refuses {right} in {where}; the role of this "
                    f"process needs {', '.join(RIGHTS)}"
                ) from error
            raise NoNodeAvailableError(
                f"the RDS API in {where} does not answer {right}: {aws.reason(error)}"
            ) from error

    def _client(self, region: str | None) -> Any:
        with self._making:
            if self._session is None:
                self._session = aws.new_session()
            if region not in self._clients:
                self._clients[region] = aws.client(
                    "rds", region, self._patience, self._session
                )
            return self._clients[region]


def _member(instance: dict[str, Any], region: str, writers: dict[str, bool]) -> Member:
    endpoint = instance.get("Endpoint") or {}
    address, port = endpoint.get("Address"), endpoint.get("Port")
    name = instance["DBInstanceIdentifier"]
    return Member(
        name,
        region,
        # An instance that is being made has none yet.
        (address, int(port)) if address and port else None,
        writer=writers.get(name, False),
        deleted=instance.get("DBInstanceStatus") in _DELETED,
    )
