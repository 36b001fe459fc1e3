"""How connections to nodes begin: with whom the application is to each at this moment."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from globaldb.config.authentication import secret_region
from globaldb.config.secret import Login
from globaldb.core.endpoints import region_of
from globaldb.core.faults import Fault
from globaldb.errors import NoNodeAvailableError
from globaldb.runtime.discovery.names import Names, is_name
from globaldb.runtime.iam import IamTokens
from globaldb.runtime.stored_secret import StoredSecret

if TYPE_CHECKING:
    from globaldb.config import Config, NodeAddress
    from globaldb.runtime.port import Driver


class Logins(Protocol):
    """Where user and password come from. Safe for threads."""

    def login(self, node: NodeAddress, deadline: float) -> Login:
        """Return who to be at *node* now; raises when nobody can tell in time."""

    def renew(self, node: NodeAddress, refused: Login, deadline: float) -> bool:
        """Look for another login than *refused*; whether there is one."""

    def forget_after_fork(self) -> None:
        """Start over in a forked child."""


class Entrance:
    """Opens the connections of one cluster."""

    def __init__(self, config: Config, driver: Driver) -> None:
        self._config = config
        self._driver = driver
        #: None where finding hosts is left to the driver.
        self._names = None if config.dns_server is None else Names(config.dns_server)
        self._logins = logins_of(config)

    def open(self, node: NodeAddress, deadline: float) -> Any:
        """Connect to *node* before *deadline* (monotonic seconds).

        A login that is refused is tried once more if there is another by now. Raises
        what the driver raises, and what `Logins.login` does.
        """
        login = self.login(node, deadline)
        try:
            return self._open(node, deadline)
        except Exception as error:
            if self._driver.opening_fault(error) is not Fault.CREDENTIALS:
                raise
            if not self._logins.renew(node, login, deadline):
                raise
        # Outside, so that the refusal does not hang on what comes of it.
        return self._open(node, deadline)

    def login(self, node: NodeAddress, deadline: float) -> Login:
        """Return who the application is at *node* now; raises as `Logins.login` does."""
        return self._logins.login(node, deadline)

    def forget_after_fork(self) -> None:
        """Start over in a forked child."""
        self._logins.forget_after_fork()

    def _open(self, node: NodeAddress, deadline: float) -> Any:
        login = partial(self.login, node)
        if self._names is not None and is_name(node.host):
            node = replace(node, at=self._names.address(node.host, deadline))
        return self._driver.open(self._config, node, login, deadline)


class _Configured:
    """The user of the configuration, with its password or the password file's."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def login(self, node: NodeAddress, deadline: float) -> Login:
        del deadline
        return Login(self._config.user, self._config.password_for(node))

    def renew(self, node: NodeAddress, refused: Login, deadline: float) -> bool:
        del node, refused, deadline
        return False

    def forget_after_fork(self) -> None:
        pass


def logins_of(config: Config) -> Logins:
    """Return where *config* says that user and password come from."""
    if config.iam_auth:
        return IamTokens(
            config.user,
            behind=partial(region_behind, config),
            patience=config.connect_timeout,
        )
    if config.secret is not None:
        return StoredSecret(
            config.secret,
            region=secret_region(config.secret, config.secret_region, config.region),
            user=config.user,
            patience=config.connect_timeout,
        )
    return _Configured(config)


def region_behind(config: Config, host: str, deadline: float) -> str:
    """Return the region of the instance that *host* leads to now, as the DNS has it.

    An alias tells it: the global endpoint is in no region by its own name. Raises
    `NoNodeAvailableError` when nobody knows, `ConfigurationError` without dnspython.
    """
    end = Names(config.dns_server).trail(host, deadline).end
    region = region_of(end, config.default_port, config.host_pattern)
    if region is None:
        raise NoNodeAvailableError(
            f"no token of IAM can be signed for {host}: it leads to {end}, whose "
            "region is not known. Name the instances with node=REGION@HOST:PORT, or "
            "the database with global_cluster="
        )
    return region
