"""Which sources the configuration of a cluster has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from globaldb.core.endpoints import parse_endpoint
from globaldb.runtime.discovery.dns import Aliases, followed
from globaldb.runtime.discovery.names import Names, installed

if TYPE_CHECKING:
    from collections.abc import Callable

    from globaldb.config import Config, NodeAddress
    from globaldb.runtime.discovery.source import Source


def api_of(config: Config) -> tuple[Source, ...]:
    """Return the RDS API, where a global database is named.

    Raises `ConfigurationError` when boto3 is missing.
    """
    if config.global_cluster is None:
        return ()
    from globaldb.runtime.discovery.rds import RdsApi

    return (RdsApi(config.global_cluster, config.region, config.connect_timeout),)


def records_of(config: Config) -> tuple[Source, ...]:
    """Return the SRV records, where their name is given.

    Raises `ConfigurationError` when dnspython is missing.
    """
    if config.srv is None:
        return ()
    from globaldb.runtime.discovery.srv import ServiceRecords

    names = Names(config.dns_server)
    return (ServiceRecords(names, config.srv, config.host_pattern),)


def aliases_of(
    config: Config, moved: Callable[[NodeAddress, str], None]
) -> Aliases | None:
    """Return the names to be followed; None where there are none.

    Without dnspython names are left to the driver, unless they are to be asked of a
    certain server: that it is missing is a `ConfigurationError` then.
    """
    nodes = followed(config.nodes)
    if not config.track_changes:
        nodes = tuple(node for node in nodes if parse_endpoint(node.host))
    if not nodes or (config.dns_server is None and not installed()):
        return None
    return Aliases(Names(config.dns_server), nodes, moved, config.host_pattern)
