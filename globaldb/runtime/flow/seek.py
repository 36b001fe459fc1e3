"""The writer, found and borrowed: what was certainly not sent waits for it."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from globaldb.core.failover import pause
from globaldb.core.lending import Outcome
from globaldb.core.trip import LinkStatus, Trip
from globaldb.errors import NoNodeAvailableError, PoolTimeoutError
from globaldb.runtime.flow.patience import patience
from globaldb.runtime.flow.requirement import follow_promotion

if TYPE_CHECKING:
    from globaldb.core.lending import Lease
    from globaldb.runtime.node import Node
    from globaldb.runtime.session import Session

#: Attempts that a statement has however little time it is given.
_ATTEMPTS: Final = 3


class Seek:
    """One statement's search for the writer; it may have to begin anew a few times."""

    def __init__(self, session: Session, deadline: float | None) -> None:
        self._session = session
        self._deadline = deadline
        self._until = patience(session, deadline)
        self._attempts = 0

    @property
    def over(self) -> bool:
        """Whether another attempt would be one too many."""
        return self._attempts >= _ATTEMPTS and monotonic() >= self._until

    async def borrow(self) -> tuple[Node, Lease[Any]]:
        """Check out a connection to the writer that has not hung up meanwhile.

        Its server must say that it is one: a node that came back as a standby would
        serve old reads in the writer's name until it is asked the next time what it
        is. Raises `NoNodeAvailableError` when there was no writer in time.
        """
        session = self._session
        while True:
            await self._next_attempt()
            node = await session.shell.await_writer(self._until)
            await follow_promotion(session)
            lease = await self._checkout(node)
            if lease is not None and await self._leads(node, lease):
                return node, lease

    async def _next_attempt(self) -> None:
        random = self._session.cluster.random
        seconds = pause(self._attempts, random.uniform(0.5, 1.0))
        self._attempts += 1
        seconds = min(seconds, self._until - monotonic())
        if seconds > 0:
            await self._session.shell.sleep(seconds)

    async def _checkout(self, node: Node) -> Lease[Any] | None:
        """Check out a connection that has not hung up; None to look for a writer anew."""
        session = self._session
        try:
            lease = await session.shell.borrow(node, self._deadline)
            while lease.connection.hung_up():
                node.pool.checkin(lease, Outcome.DISCARD)
                lease = await session.shell.borrow(node, self._deadline)
        except PoolTimeoutError:
            # The connections of a node that hangs are in use until it is given up.
            hangs = node.silent and monotonic() < self._until
            if _reigns(session, node) and not hangs:
                raise
            return None
        except NoNodeAvailableError as error:
            if session.cluster.closed or self.over:
                raise
            if _reigns(session, node):
                # Nobody is connected to it, and nobody can connect.
                session.cluster.lose(node.name, _text(error.__cause__ or error))
            return None
        return lease

    async def _leads(self, node: Node, lease: Lease[Any]) -> bool:
        """Whether the server at the other end says that it is the writer."""
        session, link = self._session, lease.connection
        try:
            if link.standby:
                # It may have been promoted since: any answer tells.
                await session.shell.travel(link, b"SELECT 1", Trip(), self._until)
        except BaseException:
            node.pool.checkin(lease, Outcome.DISCARD)
            raise
        if not link.standby and link.link_status is LinkStatus.IDLE:
            return True
        session.cluster.demoted(node.name)
        node.pool.checkin(lease, Outcome.DISCARD)
        if self.over:
            raise NoNodeAvailableError(
                f"{node.name} was taken for the writer and is a standby now. Nothing "
                "was sent; try again when the failover is over"
            )
        return False


async def borrow_writer(
    session: Session, deadline: float | None
) -> tuple[Node, Lease[Any]]:
    """Check out a connection to the writer, as `Seek` does."""
    return await Seek(session, deadline).borrow()


def _reigns(session: Session, node: Node) -> bool:
    writer = session.cluster.topology.writer
    return writer is not None and writer.name == node.name


def _text(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
