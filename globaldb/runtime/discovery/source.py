"""What can be asked for the nodes of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from globaldb.core.membership import Finding


class Source(Protocol):
    """One way to learn which nodes there are. Asked by one thread at a time."""

    @property
    def name(self) -> str:
        """What findings, logs and tables call it."""

    @property
    def pause(self) -> float:
        """Seconds until it is worth asking again in quiet times."""

    @property
    def urgent(self) -> bool:
        """Whether it may know more at once when a node is lost, or has changed."""

    @property
    def adds(self) -> bool:
        """Whether nodes may come from it."""

    def look(self, deadline: float) -> Finding | None:
        """Ask it, before *deadline* (monotonic seconds).

        None when there is nobody to ask now. Whatever it raises, others go on.
        """
