"""The psycopg driver, as the runtime sees it."""

from __future__ import annotations

import ssl
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import psycopg
from psycopg import errors as pgerrors, pq

from globaldb import errors
from globaldb.config.libpq import SECRETS
from globaldb.config.secret import DriverOptions
from globaldb.core.settings import replay
from globaldb.drivers.psycopg import aurora, probe, translate, wire
from globaldb.drivers.psycopg.catalog import read_catalog
from globaldb.drivers.psycopg.physical import Physical

if TYPE_CHECKING:
    from collections.abc import Callable

    from globaldb.config import Config, NodeAddress
    from globaldb.config.secret import Login
    from globaldb.core.catalog import Catalog
    from globaldb.core.faults import Fault
    from globaldb.core.membership import Survey
    from globaldb.core.topology import Sample
    from globaldb.core.trip import Reply, Trip


#: Longest time, in seconds, for making a connection as new.
_CLEANING = 5.0

#: A peer that vanished is noticed within half a minute, where the system would take
#: hours. Options given by the application win.
_KEEPALIVE = {
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}

_STANDBYS = (
    "SELECT DISTINCT pg_catalog.host(client_addr) FROM pg_catalog.pg_stat_replication"
    " WHERE state = 'streaming' AND client_addr IS NOT NULL"
)

#: Debian and Ubuntu, Fedora and RHEL, Alpine.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


class PsycopgDriver:
    """Opens, asks, cleans and closes PostgreSQL connections."""

    def open(
        self,
        config: Config,
        node: NodeAddress,
        login: Callable[[float], Login],
        deadline: float,
    ) -> Physical:
        """Connect to *node* before *deadline* (monotonic seconds)."""
        given = parameters(config, node, login(deadline))
        return Physical.open(given, deadline, config.prepare_threshold)

    def close(self, link: Physical) -> None:
        """Close politely."""
        link.close()

    def clean(self, link: Physical) -> None:
        """Make a used connection as new."""
        with link.until(monotonic() + _CLEANING, expendable=True):
            link.execute("DISCARD ALL", prepare=False)
        link.forget_statements()
        link.settings = ()
        link.last_session = 0

    def abandon(self, link: Physical) -> None:
        """Forget a connection that belongs to the parent of a forked process."""
        link.face = None

    def sample(self, link: Physical, deadline: float) -> Sample:
        """Ask the node for role, position and identity: one short query."""
        with link.until(deadline, expendable=True):
            _plain(link)
            return probe.sample(link, link.facts)

    def survey(self, link: Physical, deadline: float) -> Survey | None:
        """Ask the node for all instances that it knows; None outside of Aurora."""
        with link.until(deadline, expendable=True):
            _plain(link)
            return aurora.survey(link, link.facts)

    def standbys(self, link: Physical, deadline: float) -> tuple[str, ...]:
        """Ask the writer for the addresses that its standbys come from.

        Who may not see them (``pg_read_all_stats``) is told of none.
        """
        with link.until(deadline, expendable=True):
            _plain(link)
            rows = link.execute(_STANDBYS, prepare=False).fetchall()
        return tuple(str(address) for (address,) in rows)

    def catalog(
        self, link: Physical, deadline: float, *, tables: bool = False
    ) -> Catalog:
        """Read what the database says of its own objects: one long query.

        With *tables* also of what leads from one table to others.
        """
        with link.until(deadline, expendable=True):
            _plain(link)
            return read_catalog(link, tables=tables)

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
        return isinstance(error, psycopg.Error | errors.Error)

    def fault(self, error: BaseException, link: Physical) -> Fault:
        """Classify what a connection raised."""
        return translate.fault(error, broken=link.closed)

    def opening_fault(self, error: BaseException) -> Fault:
        """Classify why `open` made no connection."""
        return translate.opening_fault(error)

    def serialization_failure(self, message: str) -> psycopg.Error:
        """Make the error with which a transaction has to be run again."""
        return pgerrors.SerializationFailure(message)


def _plain(link: Physical) -> None:
    """Undo the last borrower's settings: they must not have a say in an answer."""
    undo = replay(link.settings, ())
    if undo:
        link.execute("; ".join(undo), prepare=False)
        link.settings = ()


def parameters(config: Config, node: NodeAddress, login: Login) -> DriverOptions:
    """Return the libpq parameters with which *login* reaches *node*."""
    given: dict[str, str | None] = {
        "host": node.host,
        "hostaddr": node.at,
        "port": str(node.port),
        "dbname": config.database,
        "user": login.user,
        "application_name": config.application_name,
    }
    if login.password is not None:
        given["password"] = login.password.reveal()
    found = {name: value for name, value in given.items() if value is not None}
    tls = config.tls_for(node)
    if tls.get("sslrootcert") == "system":
        tls["sslrootcert"] = _system_certificates()
    if config.iam_auth:
        # Kerberos would come before TLS, without which a token must not travel.
        tls["gssencmode"] = "disable"
    everything = {**_KEEPALIVE, **config.driver_options, **tls, **found}
    return DriverOptions.of(everything, SECRETS | {"password"})


def _system_certificates() -> str:
    """Where this machine keeps the certificates it trusts.

    The OpenSSL inside psycopg's binary package looks in a folder of its own, which
    does not exist: for it, ``system`` would trust nobody.
    """
    if pq.__impl__ != "binary":
        return "system"
    paths = ssl.get_default_verify_paths()
    known = (paths.cafile, *_BUNDLES)
    return next((path for path in known if path and Path(path).is_file()), "system")
