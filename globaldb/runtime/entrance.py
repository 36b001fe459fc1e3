"""How connections to nodes begin: with whom the application is to each at this moment."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from globaldb.config.authentication import secret_region
from globaldb.config.secret import Login
from globaldb.core.endpoints import region_of
from globaldb.core.faults import Fault
from globaldb.errors import NoNodeAvailableError
from globaldb.runtime.discovery.names import Names, is_name
from globaldb.runtime.iam import IamTokens, Led
from globaldb.runtime.stored_secret import StoredSecret

if TYPE_CHECKING:
    from collections.abc import Callable

    from globaldb.config import Config, NodeAddress
    from globaldb.runtime.port import Driver

#: Seconds that a name server is waited for where the last answer may do.
_NAMING: Final = 1.0


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
        #: Where each host was last, for when the name server fails.
        self._addresses: dict[str, str] = {}
        self._logins = logins_of(config)
        #: What is to be done with the first connection of a forked child.
        self._first: Callable[[], None] | None = None

    def open(self, node: NodeAddress, deadline: float) -> Any:
        """Connect to *node* before *deadline* (monotonic seconds).

        A login that is refused is tried once more if there is another by now. Raises
        what the driver raises, and what `Logins.login` does.
        """
        first, self._first = self._first, None
        if first is not None:
            first()
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

    def forget_after_fork(self, first: Callable[[], None]) -> None:
        """Start over in a forked child; do *first* when a connection is opened.

        No thread can be started before that: the child may be about to become another
        program.
        """
        self._logins.forget_after_fork()
        self._first = first

    def _open(self, node: NodeAddress, deadline: float) -> Any:
        login = partial(self.login, node)
        if self._names is not None and is_name(node.host):
            node = replace(node, at=self._address(self._names, node.host, deadline))
        return self._driver.open(self._config, node, login, deadline)

    def _address(self, names: Names, host: str, deadline: float) -> str:
        """Return where *host* is, or was when the name server last told.

        Whoever is there by now has to prove its name, and to say what it is.
        """
        known = self._addresses.get(host)
        if known is not None:
            # Enough has to be left for connecting.
            deadline = min(deadline, monotonic() + _NAMING)
        try:
            self._addresses[host] = names.address(host, deadline)
        except NoNodeAvailableError:
            if known is None:
                raise
        return self._addresses[host]


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
            behind=partial(name_behind, config),
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


def name_behind(config: Config, host: str, deadline: float) -> Led | None:
    """Return the first name of RDS with a region that *host* leads to now.

    None when it leads to none. Raises `NoNodeAvailableError` when the DNS tells
    nothing of it, `ConfigurationError` without dnspython.
    """
    names = Names(config.dns_server).trail(host, deadline).names
    for patterns in ((), config.host_pattern):
        for name in names:
            region = region_of(name, config.default_port, patterns)
            if region is not None:
                return Led(name, region)
    return None
