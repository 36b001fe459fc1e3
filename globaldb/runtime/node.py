"""One node as this process uses it: its pool, and what was learnt about it."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from globaldb.core.catchup import CatchUp
from globaldb.core.fence import Facts
from globaldb.core.lending import PoolLimits
from globaldb.core.topology import NodeState
from globaldb.runtime.pool import Pool

if TYPE_CHECKING:
    from globaldb.config import Config, NodeAddress
    from globaldb.core.position import LogPosition, Position
    from globaldb.runtime.cluster import ClusterRuntime


_GONE = "it is no longer part of the cluster"

#: Trips whose times are remembered.
_TRIPS = 16


class Node:
    """A pool of connections to one server, and what is known about that server."""

    def __init__(self, address: NodeAddress, cluster: ClusterRuntime) -> None:
        self.address = address
        self.name = str(address)
        #: Where it is, as its address says, or whoever found that out since.
        self.region = address.region
        self._cluster = cluster
        #: How far it has certainly replayed: grows with every look at it.
        self.replayed: LogPosition | None = None
        #: When something about it was last not as believed (monotonic seconds). A node
        #: that comes is another one than any that has had its name.
        self.doubted_at = monotonic()
        #: Seconds of the last trips here, and of the shortest of them: what is beside
        #: the work of a statement. None while there was none.
        self._trips: tuple[float, ...] = ()
        self.trip: float | None = None
        #: The shortest trip since the monitor has sent its last question.
        self.least = float("inf")
        #: Its answer has been missing for too long, and no other came meanwhile.
        self.silent = False
        #: How often it has answered on a connection that may be kept all the while.
        self.answered = 0
        #: It lets nobody in who asks as we do: what no waiting helps against.
        self.barred = False
        #: How long commits take to become visible here.
        self.catch_up = CatchUp()
        #: It is known to forward writes by itself.
        self.forwards = False
        #: What it can be asked of positions.
        self.facts = Facts()
        #: It has everything committed before this, on the writer's clock.
        self.moment = float("-inf")
        self.pool: Pool[Any] = Pool(
            self.name,
            open=self.open,
            close=cluster.driver.close,
            clean=cluster.driver.clean,
            abandon=cluster.driver.abandon,
            limits=_limits(cluster.config),
            worker=cluster.worker,
            clock=monotonic,
            random=cluster.random,
        )

    @property
    def state(self) -> NodeState:
        """What the cluster believes about this node now."""
        state = self._cluster.topology.nodes.get(self.name)
        return (
            NodeState(self.name, self.region, problem=_GONE) if state is None else state
        )

    @property
    def load(self) -> int:
        """Connections of it in use by this process."""
        stats = self.pool.stats
        return stats.busy + stats.waiting

    def saw(self, position: LogPosition) -> None:
        """Take note that this node has replayed *position*."""
        known = self.replayed
        self.replayed = position if known is None else known.merge(position)

    def took(self, seconds: float) -> None:
        """Take note of how long a trip here took.

        The shortest of the last ones is the way there and back; what is longer has
        waited for a processor, or was at work.
        """
        self._trips = (*self._trips[1 - _TRIPS :], seconds)
        self.trip = min(self._trips)
        self.least = min(self.least, seconds)

    def showed(self, told: LogPosition | None) -> LogPosition | None:
        """Take in what this node, a reader, said that it had replayed.

        The timeline is that of the last probe. A reader moves to a newer timeline only
        where the two agree, so a number reached since then counts for the older one.
        """
        sampled = self.state.position
        if told is None or sampled is None:
            return None
        position = told.on(sampled.timeline)
        self.saw(position)
        return position

    def wrote(self, position: Position, asked_at: float) -> None:
        """Take note that this node, the writer, has committed up to *position*.

        *asked_at* is when the question was sent (monotonic seconds).
        """
        if position.log is not None:
            self.saw(position.log)
        self.took(monotonic() - asked_at)
        self._cluster.heard.told(position, asked_at)

    def doubt(self) -> None:
        """Take back what is known of its position: it may have restarted.

        A standby that restarts comes back older than it was.
        """
        self.replayed = None
        self.moment = float("-inf")
        self.doubted_at = monotonic()

    def give_up(self, why: str) -> None:
        """Let nobody wait any longer: for an answer, or for a connection."""
        for link in self.pool.lent:
            self._cluster.driver.give_up(link)
        self.pool.refuse(why)

    def open(self, deadline: float) -> Any:
        """Return a new connection, beside the pool's, before *deadline*.

        Raises what `Entrance.open` raises.
        """
        link = self._cluster.entrance.open(self.address, deadline)
        link.facts = self.facts
        return link


def _limits(config: Config) -> PoolLimits:
    return PoolLimits(
        min_size=config.pool_min_size,
        max_size=config.pool_max_size,
        max_lifetime=config.pool_max_lifetime,
        max_idle=config.pool_max_idle,
        wait=config.pool_wait,
        connect=config.connect_timeout,
    )
