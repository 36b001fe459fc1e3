"""What AWS would say of a lab: a global database, its clusters and its instances.

These are moto's models, put right where they differ from AWS and whoever looks for
nodes would notice. Only the process of `awsserver` imports this.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.responses import ActionResult, PaginatedResult
from moto.rds.exceptions import RDSClientError
from moto.rds.models import (
    DBCluster,
    DBInstanceClustered,
    GlobalCluster,
    RDSBackend,
    rds_backends,
)
from moto.rds.responses import RDSResponse
from moto.secretsmanager.models import secretsmanager_backends

from globaldb.lab.endpoints import Endpoints

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where moto keeps what belongs to no region.
_NOWHERE: Final = "us-east-1"
#: AWS's name and a version of it, for each engine of a lab.
_ENGINES: Final = {
    "postgresql": ("aurora-postgresql", "17.5"),
    "mysql": ("aurora-mysql", "8.0.mysql_aurora.3.10.0"),
    "mariadb": ("aurora-mysql", "8.0.mysql_aurora.3.10.0"),
}


class Account:
    """The account that has the lab in it, and a secret with a login to it.

    *plan* says what the lab consists of; see `cloud.plan`.
    """

    def __init__(self, plan: Mapping[str, Any]) -> None:
        # moto finds the method by its name when it is asked.
        RDSResponse.describe_global_clusters = _describe_global_clusters  # type: ignore[assignment,method-assign]
        self._names = Endpoints(**plan["endpoints"])
        self._login: dict[str, Any] = plan["login"]
        self._secret: str = plan["secret"]
        self._regions: list[str] = plan["regions"]
        self._instances: dict[str, _Instance] = {}
        self._world = _World(_backend(_NOWHERE), self._names)
        for region in self._regions:
            nodes = [name for name, where in plan["nodes"] if where == region]
            if nodes:
                self._world.members.append(self._cluster(region, nodes, plan["port"]))
        _backend(_NOWHERE).global_clusters[self._names.lab] = self._world
        self.lead_to(plan["writer"])
        self._keep_secret()

    def lead_to(self, writer: str) -> None:
        """Have the instance called *writer* be the writer."""
        for name, instance in self._instances.items():
            instance.is_cluster_writer = name == writer
        home = self._instances[writer].cluster
        for cluster in self._world.members:
            cluster.is_writer = cluster is home

    def password(self, word: str) -> None:
        """Have the secret tell another password from now on."""
        self._login["password"] = word
        secretsmanager_backends[DEFAULT_ACCOUNT_ID][self._regions[0]].update_secret(
            self._secret,
            secret_string=json.dumps(self._login),
            client_request_token=str(uuid4()),
        )

    def _cluster(self, region: str, nodes: list[str], port: int) -> _Cluster:
        backend = _backend(region)
        engine, version = _ENGINES[self._names.engine]
        cluster = _Cluster(
            backend,
            self._names.lab,
            engine,
            engine_version=version,
            port=port,
            database_name=self._login["dbname"],
            global_cluster_identifier=self._names.lab,
            enable_iam_database_authentication=True,
        )
        cluster.names = self._names
        cluster.status = "available"
        backend.clusters[self._names.lab] = cluster
        for position, node in enumerate(nodes):
            instance = _Instance(  # type: ignore[abstract]
                backend=backend,
                db_cluster_identifier=self._names.lab,
                db_instance_identifier=node,
                db_instance_class="db.r6g.large",
                engine=engine,
                engine_version=version,
                port=port,
                availability_zone=f"{region}{'abc'[position % 3]}",
            )
            instance.names = self._names
            self._instances[node] = backend.databases[node] = instance
        return cluster

    def _keep_secret(self) -> None:
        first, *others = self._regions
        secretsmanager_backends[DEFAULT_ACCOUNT_ID][first].create_secret(
            self._secret,
            secret_string=json.dumps(self._login),
            secret_binary=None,
            description="the role of applications",
            tags=[],
            kms_key_id=None,
            client_request_token=None,
            replica_regions=[{"Region": region} for region in others],
            force_overwrite=False,
        )


class _World(GlobalCluster):
    """The global database."""

    def __init__(self, backend: RDSBackend, names: Endpoints) -> None:
        engine, version = _ENGINES[names.engine]
        super().__init__(
            backend,
            names.lab,
            engine,
            version,
            storage_encrypted=None,
            deletion_protection=None,
        )
        self.names = names

    @property
    def endpoint(self) -> str:
        """The name that leads to the writer wherever it is."""
        return self.names.global_writer

    @property
    def global_cluster_members(self) -> list[dict[str, Any]]:
        """Every region's cluster."""
        members = super().global_cluster_members
        return [
            each if each["IsWriter"] else {**each, "SynchronizationStatus": "connected"}
            for each in members
        ]


class _Cluster(DBCluster):
    """The cluster of one region. The writer's region alone has a writer endpoint."""

    names: Endpoints

    @property
    def endpoint(self) -> str | None:  # type: ignore[override]
        """The cluster endpoint; nothing where the writer is not."""
        return self.names.writer(self.region) if self.is_writer else None

    @property
    def reader_endpoint(self) -> str:
        """The name of the region's readers."""
        return self.names.reader(self.region)

    @property
    def global_write_forwarding_status(self) -> str | None:
        """Whether a secondary forwards writes: a lab's cannot."""
        return None if self.is_writer else "disabled"

    def designate_writer(self) -> None:
        """Do nothing: moto would make a writer in every region."""


class _Instance(DBInstanceClustered):
    """One node."""

    names: Endpoints

    @property
    def address(self) -> str:
        """The name that the lab's name server knows."""
        return self.names.instance(self.db_instance_identifier, self.region)


def _describe_global_clusters(response: RDSResponse) -> ActionResult:
    """Answer as AWS does: by identifier or region, or with a fault."""
    wanted = response.params.get("GlobalClusterIdentifier")
    found = response.global_backend.describe_global_clusters()
    if wanted:
        found = [
            each
            for each in found
            if wanted.lower() in {each.global_cluster_identifier, each.arn}
        ]
        if not found:
            fault = "GlobalClusterNotFoundFault"
            raise RDSClientError(fault, f"Global cluster {wanted} not found")
    for each in response.params.get("Filters", ()):
        if each["Name"] != "region":
            raise RDSClientError(
                "InvalidParameterValue", f"Unrecognized filter name: {each['Name']}"
            )
        found = [
            one for one in found if {m.region for m in one.members} & {*each["Values"]}
        ]
    return PaginatedResult({"GlobalClusters": found})


def _backend(region: str) -> RDSBackend:
    return rds_backends[DEFAULT_ACCOUNT_ID][region]
