"""How connections to nodes begin: with whom the application is to each at this moment."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from globaldb.config.authentication import secret_region
from globaldb.config.secret import Login
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
        self._logins = logins_of(config)

    def open(self, node: NodeAddress, deadline: float) -> Any:
        """Connect to *node* before *deadline* (monotonic seconds).

        A login that is refused is tried once more if there is another by now. Raises
        what the driver raises, and what `Logins.login` does.
        """
        logins = self._logins
        login = logins.login(node, deadline)
        try:
            return self._open(node, deadline)
        except Exception as error:
            if not self._driver.refuses_login(error):
                raise
            if not logins.renew(node, login, deadline):
                raise
        # Outside, so that the refusal does not hang on what comes of it.
        return self._open(node, deadline)

    def forget_after_fork(self) -> None:
        """Start over in a forked child."""
        self._logins.forget_after_fork()

    def _open(self, node: NodeAddress, deadline: float) -> Any:
        login = partial(self._logins.login, node)
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
            config.user, behind=region_behind, patience=config.connect_timeout
        )
    if config.secret is not None:
        return StoredSecret(
            config.secret,
            region=secret_region(config.secret, config.secret_region, config.region),
            user=config.user,
            patience=config.connect_timeout,
        )
    return _Configured(config)


def region_behind(host: str) -> str | None:
    """Return the region of the instance that *host* leads to; None if nobody knows."""
    del host
    return None
