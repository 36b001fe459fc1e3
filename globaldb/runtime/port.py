"""What the runtime asks of a database driver, and of the world it waits in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from globaldb.config import Config, NodeAddress
    from globaldb.config.secret import Login
    from globaldb.core.catalog import Catalog
    from globaldb.core.faults import Fault
    from globaldb.core.fence import Facts
    from globaldb.core.membership import Survey
    from globaldb.core.statement import Statement
    from globaldb.core.topology import Sample
    from globaldb.core.trip import LinkStatus, Reply, Trip


class Link(Protocol):
    """A physical connection, as far as the runtime looks into it."""

    #: What is known of the abilities of the node it leads to.
    facts: Facts
    #: The settings applied by its last borrower.
    settings: tuple[tuple[str, str], ...]
    #: Identity of the session that used it last.
    last_session: int
    #: How many definitions there were when its prepared statements were looked at.
    definitions: int
    #: Interrupted in the middle: nobody knows what is applied on it.
    spoiled: bool
    #: The application's connection while it is lent: hears notices.
    face: Any

    @property
    def link_status(self) -> LinkStatus:
        """What the server says of it."""

    @property
    def begins_by_itself(self) -> bool:
        """Whether each statement begins a transaction of its own accord."""

    @property
    def standby(self) -> bool:
        """Whether the server last said that it is a standby."""

    def until(self, deadline: float | None) -> AbstractContextManager[None]:
        """Bound every wait inside the block."""

    def forget_statements(self) -> None:
        """Take note that the server has dropped every prepared statement."""

    def renew_statements(self) -> None:
        """Use no statement any more that was prepared until now."""

    def hung_up(self) -> bool:
        """Whether the server has closed it, without waiting to find out."""


class Driver(Protocol):
    """A database driver for one engine. Blocking; knows nothing of routing."""

    def open(
        self,
        config: Config,
        node: NodeAddress,
        login: Callable[[float], Login],
        deadline: float,
    ) -> Any:
        """Connect before *deadline* (monotonic seconds), or raise.

        *login* returns, before a deadline, who to be: now, and whenever the driver
        connects to the node again on behalf of this connection.
        """

    def close(self, link: Any) -> None:
        """Close politely."""

    def clean(self, link: Any) -> None:
        """Make a used connection as new."""

    def abandon(self, link: Any) -> None:
        """Forget a connection that belongs to the parent of a forked process."""

    def sample(self, link: Any, deadline: float) -> Sample:
        """Ask the node for role, position and identity: one short query."""

    def survey(self, link: Any, deadline: float) -> Survey | None:
        """Ask the node for all instances that it knows; None outside of Aurora."""

    def standbys(self, link: Any, deadline: float) -> tuple[str, ...]:
        """Ask the writer for the addresses that its standbys come from."""

    def catalog(self, link: Any, deadline: float, *, tables: bool) -> Catalog:
        """Ask for what the database says of its own objects."""

    def travel(self, link: Any, work: Any, trip: Trip, reply: Reply) -> None:
        """Make one round trip; fill *reply* in as answers arrive."""

    def give_up(self, link: Any) -> None:
        """Let whoever waits on *link* stop waiting: its node does not answer."""

    def knows(self, error: Exception) -> bool:
        """Whether *error* is one that a trip itself can raise."""

    def fault(self, error: BaseException, link: Any) -> Fault:
        """Classify what a connection raised."""

    def opening_fault(self, error: BaseException) -> Fault:
        """Classify why `open` made no connection."""

    def serialization_failure(self, message: str) -> Exception:
        """Make the error with which a transaction has to be run again."""


class Work(Protocol):
    """One statement of the application, as the flow sees it."""

    statement: Statement

    @property
    def call(self) -> Any:
        """What the driver's `travel` sends."""

    @property
    def source(self) -> str | bytes:
        """The text that was classified."""

    @property
    def text(self) -> str:
        """The statement as the application wrote it, without its parameters."""

    @property
    def deadline(self) -> float | None:
        """Monotonic seconds by which it must have ended, if it must."""

    @property
    def has_parameters(self) -> bool:
        """Whether values travel beside the text."""

    #: Called with the connection once the statement has succeeded there.
    on_success: Callable[[Link], None] | None

    def acknowledge(self, tag: str) -> None:
        """Look as if the server had answered with the command tag *tag*."""

    def recording(self, *, ordered: bool, compared: bool) -> Any:
        """Return what makes the statement again, with the answer that it had.

        *ordered* tells whether the order of its rows counts when it is *compared*.
        """

    def first_value(self) -> str | None:
        """Return the first column of the first row, as text."""
