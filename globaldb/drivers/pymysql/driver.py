"""The PyMySQL driver, as the runtime sees it."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from pymysql import err
from pymysql.constants import ER

from globaldb import errors
from globaldb.config.secret import Login
from globaldb.drivers.pymysql import aurora, probe, translate, wire
from globaldb.drivers.pymysql.catalog import read_catalog
from globaldb.drivers.pymysql.parameters import parameters
from globaldb.drivers.pymysql.physical import Physical

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from globaldb.config import Config, NodeAddress
    from globaldb.config.secret import DriverOptions
    from globaldb.core.catalog import Catalog
    from globaldb.core.faults import Fault
    from globaldb.core.membership import Survey
    from globaldb.core.topology import Sample
    from globaldb.core.trip import Reply, Trip

#: Longest time, in seconds, for making a connection as new.
_CLEANING: Final = 5.0
#: Settings, or parts of their names, that have a say in the driver's own answers.
_MEDDLING: Final = ("sql_select_limit", "timestamp", "character_set", "names", "mode")


class PymysqlDriver:
    """Opens, asks, cleans and closes connections to MySQL and MariaDB."""

    def __init__(self, config: Config | None = None) -> None:
        """Check what *config* gives to PyMySQL; raise `ConfigurationError`."""
        #: What TLS takes, made once: reading the system's certificates takes a while.
        self._contexts: dict[DriverOptions, ssl.SSLContext] = {}
        if config is not None:
            for node in config.nodes:
                parameters(config, node, Login(None, None), self._contexts)

    def open(
        self,
        config: Config,
        node: NodeAddress,
        login: Callable[[float], Login],
        deadline: float,
    ) -> Physical:
        """Connect to *node* before *deadline* (monotonic seconds)."""

        def given(ends: float) -> DriverOptions:
            return parameters(config, node, login(ends), self._contexts)

        return Physical.reach(given(deadline), deadline, again=given)

    def close(self, link: Physical) -> None:
        """Close politely."""
        link.close()

    def clean(self, link: Physical) -> None:
        """Make a used connection as new."""
        with link.until(monotonic() + _CLEANING, expendable=True):
            link.read_plainly(texts=True)
            link.reset()
        link.settings = ()
        link.last_session = 0

    def abandon(self, link: Physical) -> None:
        """Forget a connection that belongs to the parent of a forked process."""
        link.face = None

    def sample(self, link: Physical, deadline: float) -> Sample:
        """Ask the node for role, position and identity: one short query."""
        with link.until(deadline, expendable=True):
            self._plain(link)
            return probe.sample(link, link.facts)

    def survey(self, link: Physical, deadline: float) -> Survey | None:
        """Ask the node for all instances that it knows; None outside of Aurora."""
        with link.until(deadline, expendable=True):
            self._plain(link)
            return aurora.survey(link, link.facts)

    def standbys(self, link: Physical, deadline: float) -> tuple[str, ...]:
        """Return none: MySQL tells hosts that its replicas report, and few do."""
        del link, deadline
        return ()

    def catalog(
        self, link: Physical, deadline: float, *, tables: bool = False
    ) -> Catalog:
        """Read what the database says of its own objects: one long query.

        What leads from one table to others is not read, with *tables* or without.
        """
        del tables
        with link.until(deadline, expendable=True):
            self._plain(link)
            link.read_plainly(texts=False)
            return read_catalog(link)

    def travel(
        self,
        link: Physical,
        work: wire.Call | bytes | None,
        trip: Trip,
        reply: Reply,
    ) -> None:
        """Make one round trip; fill *reply* in as answers arrive."""
        wire.travel(link, work, trip, reply)

    def give_up(self, link: Physical) -> None:
        """Let whoever waits on *link* stop waiting: its node does not answer."""
        link.give_up()

    def knows(self, error: Exception) -> bool:
        """Whether *error* is one that a trip itself can raise."""
        return isinstance(error, err.MySQLError | errors.Error)

    def fault(self, error: BaseException, link: Physical) -> Fault:
        """Classify what a connection raised."""
        return translate.fault(error, broken=link.closed)

    def opening_fault(self, error: BaseException) -> Fault:
        """Classify why `open` made no connection."""
        return translate.opening_fault(error)

    def serialization_failure(self, message: str) -> err.OperationalError:
        """Make the error with which a transaction has to be run again."""
        return err.OperationalError(ER.LOCK_DEADLOCK, message)

    def _plain(self, link: Physical) -> None:
        """Undo the last borrower's settings where they have a say in an answer."""
        names = (name.lower() for name, _ in link.settings)
        if any(part in name for name in names for part in _MEDDLING):
            link.read_plainly(texts=True)
            link.reset()
            link.settings = ()
