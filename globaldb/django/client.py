"""The database's own shell, for ``manage.py dbshell``: it is opened at the writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.base.client import BaseDatabaseClient
from django.db.utils import load_backend

from globaldb.dbapi.cluster import Cluster

if TYPE_CHECKING:
    from globaldb.config import Config, NodeAddress


def at_writer(settings_dict: dict[str, Any]) -> dict[str, Any]:
    """Return *settings_dict* with the writer's place and the login for it in it.

    Asks the nodes who the writer is. Raises `ImproperlyConfigured` where there is none.
    """
    wrapper = load_backend(settings_dict["ENGINE"]).DatabaseWrapper(
        settings_dict, NO_DB_ALIAS
    )
    config = wrapper.configured(wrapper.get_connection_params())
    with Cluster.of(config) as cluster, cluster.connect() as connection:
        with connection.using(route="writer"), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        writer = cluster.topology.writer
        if writer is None:
            raise ImproperlyConfigured("no node of the cluster is the writer now")
        return _login(settings_dict, config, cluster.runtime.node(writer.name).address)


def _login(
    settings_dict: dict[str, Any], config: Config, node: NodeAddress
) -> dict[str, Any]:
    password = config.password_for(node)
    found = {
        "HOST": node.host,
        "PORT": node.port,
        "USER": config.user or settings_dict["USER"],
        "NAME": config.database or settings_dict["NAME"],
        "PASSWORD": "" if password is None else password.reveal(),
    }
    return {**settings_dict, **found}


class GlobaldbClient(BaseDatabaseClient):
    """The part of a ``DatabaseClient`` that looks for the writer."""

    @classmethod
    def settings_to_cmd_args_env(cls, settings_dict: Any, parameters: Any) -> Any:
        """Return the command that opens a shell at the writer, and its environment."""
        return super().settings_to_cmd_args_env(at_writer(settings_dict), parameters)
