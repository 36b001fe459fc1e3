"""AWS's API of a lab, seen from the supervisor and from those who call it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from globaldb.lab.cluster import APP_ROLE, DATABASE
from globaldb.lab.endpoints import Endpoints
from globaldb.lab.errors import LabSpecError
from globaldb.lab.spec import NETNS
from globaldb.lab.worker import Worker

if TYPE_CHECKING:
    from pathlib import Path

    from globaldb.lab.addresses import AddressBook
    from globaldb.lab.server import Server
    from globaldb.lab.spec import LabSpec


@dataclass(frozen=True, slots=True)
class LabAws:
    """Where AWS's API of a lab is, and what it has there."""

    url: str
    #: The identifier of the global database, and of the cluster in each region.
    global_cluster: str
    #: The name of the secret that has the login of applications, in every region.
    secret: str
    region: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which boto3 calls this API and no other."""
        return {
            "AWS_ENDPOINT_URL_RDS": self.url,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


class Cloud:
    """The process that serves the API, once somebody has asked for it."""

    def __init__(self, name: str, spec: LabSpec, book: AddressBook, log: Path) -> None:
        self._name = name
        self._spec = spec
        self._book = book
        self._log = log
        self._writer = spec.nodes[0].name
        self._worker: Worker | None = None
        self._url = ""

    def serve(self, password: str) -> dict[str, str]:
        """Start to serve, unless it is done already; return what `LabAws` has.

        *password* is that of applications.
        """
        if self._worker is None:
            if find_spec("moto") is None:
                raise LabSpecError(
                    "AWS's API is served by moto: pip install 'globaldb[lab-aws]'"
                )
            if self._spec.net == NETNS:
                raise LabSpecError(
                    "AWS's API cannot be reached from network namespaces"
                )
            if self._spec.single_address:
                raise LabSpecError(
                    "this lab has a port for every link, where RDS has one for all: "
                    "start it without --single-address"
                )
            self._worker = Worker(
                "the server of AWS's API",
                "globaldb.lab.awsserver",
                plan=self._plan(password),
                log=self._log,
            )
            host, port = self._worker.wait_ready()
            self._url = f"http://{host}:{port}"
        return {
            "url": self._url,
            "global_cluster": self._name,
            "secret": self._secret,
            "region": next(iter(self._spec.regions)),
        }

    def lead_to(self, writer: Server) -> None:
        """Have the API call *writer* the writer."""
        self._writer = writer.name
        if self._worker is not None:
            self._worker.command("lead_to", writer.name)

    def set_password(self, password: str) -> None:
        """Have the secret tell another password."""
        if self._worker is not None:
            self._worker.command("password", password)

    def stop(self) -> None:
        """End the process, if there is one."""
        if self._worker is not None:
            self._worker.stop()

    @property
    def _secret(self) -> str:
        return f"{self._name}/{APP_ROLE}"

    def _plan(self, password: str) -> dict[str, Any]:
        nodes = self._spec.nodes
        _, port = self._book.servers[0]
        names = Endpoints(self._name, self._spec.engine)
        return {
            "endpoints": {"lab": self._name, "engine": self._spec.engine},
            "regions": list(self._spec.regions),
            "nodes": [(node.name, node.region) for node in nodes],
            "port": port,
            "writer": self._writer,
            "secret": self._secret,
            "login": {
                "engine": "postgres" if self._spec.engine == "postgresql" else "mysql",
                # As in the world, this is the host of one region for good.
                "host": names.writer(nodes[0].region),
                "port": port,
                "dbname": DATABASE,
                "username": APP_ROLE,
                "password": password,
                "dbClusterIdentifier": self._name,
            },
        }
