"""The psycopg driver, as the runtime sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from globaldb.drivers.psycopg import probe, translate, wire
from globaldb.drivers.psycopg.physical import Physical

if TYPE_CHECKING:
    from globaldb.config import Config, NodeAddress
    from globaldb.core.faults import Fault
    from globaldb.core.topology import Sample
    from globaldb.core.trip import Reply, Trip


class PsycopgDriver:
    """Opens, asks, cleans and closes PostgreSQL connections."""

    def open(self, config: Config, node: NodeAddress, deadline: float) -> Physical:
        """Connect to *node* before *deadline* (monotonic seconds)."""
        return Physical.open(
            parameters(config, node), deadline, config.prepare_threshold
        )

    def close(self, link: Physical) -> None:
        """Close politely."""
        link.close()

    def clean(self, link: Physical) -> None:
        """Make a used connection as new."""
        link.execute("DISCARD ALL")
        link.settings = ()
        link.last_session = 0

    def abandon(self, link: Physical) -> None:
        """Forget a connection that belongs to the parent of a forked process."""
        link.face = None

    def sample(self, link: Physical, deadline: float) -> Sample:
        """Ask the node for role, position and identity: one short query."""
        with link.until(deadline):
            return probe.sample(link)

    def travel(
        self,
        link: Physical,
        work: wire.Call | bytes | None,
        trip: Trip,
        reply: Reply,
    ) -> None:
        """Make one round trip; fill *reply* in as answers arrive."""
        wire.travel(link, work, trip, reply)

    def fault(self, error: BaseException, link: Physical) -> Fault:
        """Classify what a connection raised."""
        return translate.fault(error, broken=link.closed)


def parameters(config: Config, node: NodeAddress) -> dict[str, str]:
    """Return the libpq parameters with which *node* is reached."""
    given: dict[str, str | None] = {
        "host": node.host,
        "port": str(node.port),
        "dbname": config.database,
        "user": config.user,
        "application_name": config.application_name,
    }
    password = config.password_for(node)
    if password is not None:
        given["password"] = password.reveal()
    found = {name: value for name, value in given.items() if value is not None}
    return {**config.driver_options, **config.tls_for(node), **found}
