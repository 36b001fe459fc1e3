"""One look at a node: over a pooled connection, and over a new one if that fails.

A pooled connection can be killed, or be forgotten by a firewall, while its node is
perfectly well. So nothing is believed of a node that only one connection says.
"""

from __future__ import annotations

from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from globaldb.core.lending import Outcome
from globaldb.errors import Error

if TYPE_CHECKING:
    from globaldb.core.lending import Lease
    from globaldb.core.topology import Sample
    from globaldb.runtime.cluster import ClusterRuntime
    from globaldb.runtime.node import Node

#: A pooled connection is given up after so many times what its node takes to answer,
#: but not before so many seconds.
_SLOWER: Final = 20.0
_PATIENCE: Final = 1.0

#: How often a node is asked again when it is asked for the first time, or comes back,
#: and takes no longer than so many seconds.
_AGAIN: Final = 2
_QUICK: Final = 0.05


def ask(cluster: ClusterRuntime, node: Node) -> Sample:
    """Ask *node* what it is; raises what the way to it, or itself, has to say.

    Takes about ``connect_timeout`` at most. A new connection stays in the pool.
    """
    longest = cluster.config.connect_timeout
    if node.state.sampled_at is not None:
        # For two ways of asking. A node far away needs all of it to be found out about.
        longest /= 2
    patience = min(max(_PATIENCE, _SLOWER * (node.state.latency or 0.0)), longest)
    lease = _borrow(node, patience)
    if lease is not None:
        sample = _ask_pooled(cluster, node, lease, patience)
        if sample is not None:
            return sample
    return _ask_anew(cluster, node, longest)


def _borrow(node: Node, patience: float) -> Lease[Any] | None:
    """Borrow a connection; None when a new one tells as much, or only a new one can."""
    lease = node.pool.try_checkout()
    if lease is not None or not node.pool.full:
        return lease
    try:
        return node.pool.checkout(monotonic() + patience)
    except Error:
        return None


def _ask_pooled(
    cluster: ClusterRuntime, node: Node, lease: Lease[Any], patience: float
) -> Sample | None:
    deadline = monotonic() + patience
    try:
        sample = _sample(cluster, node, lease.connection, deadline)
    except Exception:  # noqa: BLE001 - a new connection tells what is the matter
        node.pool.checkin(lease, Outcome.DISCARD)
        # The node may have restarted, and be older than it was.
        cluster.doubt(node.name)
        if monotonic() >= deadline:
            # What went silent unnoticed has not gone alone.
            node.pool.drain()
        else:
            node.pool.prune(_hung_up)
        return None
    except BaseException:
        node.pool.checkin(lease, Outcome.DISCARD)
        raise
    # First back, then heard of: who waits for this answer finds a connection that the
    # server has just told what it is.
    node.pool.checkin(lease)
    return sample


def _ask_anew(cluster: ClusterRuntime, node: Node, patience: float) -> Sample:
    deadline = monotonic() + patience
    link = node.open(deadline)
    try:
        sample = _sample(cluster, node, link, max(deadline, monotonic() + patience / 2))
    except BaseException:
        cluster.driver.close(link)
        raise
    node.pool.adopt(link)
    return sample


def _sample(cluster: ClusterRuntime, node: Node, link: Any, deadline: float) -> Sample:
    sample = cluster.driver.sample(link, deadline)
    if node.state.latency is not None or sample.latency > _QUICK:
        return sample
    # The first answer pays for what later ones find warm, and it alone says how near
    # the node is until the next probe. Far away that makes no difference.
    for _ in range(_AGAIN):
        again = cluster.driver.sample(link, deadline)
        sample = replace(again, latency=min(sample.latency, again.latency))
    return sample


def _hung_up(link: Any) -> bool:
    return bool(link.hung_up())
