"""What goes into the log: events with fields, never parameters, never secrets.

One logger, ``globaldb``. DEBUG is an event a statement, INFO a change of topology,
WARNING what somebody should look at. The text of statements is added at DEBUG when
the option ``log_sql`` is on.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from globaldb.core.fence import Means
    from globaldb.core.outcome import Judgement
    from globaldb.core.topology import NodeState, Topology
    from globaldb.core.trip import Reply
    from globaldb.errors import TokenError
    from globaldb.runtime.node import Node
    from globaldb.runtime.port import Work
    from globaldb.runtime.session import Session

logger = logging.getLogger("globaldb")


def each_statement() -> bool:
    """Whether an event for each statement is wanted: then no short way is taken."""
    return logger.isEnabledFor(logging.DEBUG)


def statement(session: Session, work: Work, seconds: float, problem: object) -> None:
    """Log where a statement ran, how long it took, and how it ended."""
    route = session.route
    logger.debug(
        "statement session=%s verdict=%s statement=%s node=%s reason=%s ms=%.1f "
        "waited_ms=%.1f error=%s%s",
        session.id,
        work.statement.verdict.value,
        work.statement.reason,
        route.node if route else None,
        route.reason if route else None,
        seconds * 1000,
        route.waited * 1000 if route else 0.0,
        type(problem).__name__ if problem is not None else None,
        f" sql={work.text!r}" if session.cluster.config.log_sql else "",
    )


def node_admitted(name: str, source: str, version: int) -> None:
    """Log that a node has come to the cluster, and who has told of it."""
    logger.info("node_admitted node=%s source=%s version=%s", name, source, version)


def node_dismissed(name: str, why: str, version: int) -> None:
    """Log that a node has left the cluster, and why."""
    logger.info("node_dismissed node=%s why=%s version=%s", name, why, version)


def name_moved(name: str, target: str) -> None:
    """Log that a node's name has come to lead to another server."""
    logger.info("name_moved node=%s target=%s", name, target)


def discovery_failed(source: str, problem: str) -> None:
    """Log that a source of nodes tells nothing; once, however long that lasts."""
    logger.warning("discovery_failed source=%s error=%s", source, problem)


def discovery_recovered(source: str, failures: int) -> None:
    """Log that a source of nodes tells of them again."""
    logger.info("discovery_recovered source=%s failures=%s", source, failures)


def discovery_remark(text: str) -> None:
    """Log what is the matter with something that a source of nodes has told."""
    logger.warning("discovery_remark text=%s", text)


def node_changed(state: NodeState, version: int, epoch: int) -> None:
    """Log what a node is now; a node that does not answer is worth a look."""
    logger.log(
        logging.WARNING if state.problem is not None else logging.INFO,
        "node_changed node=%s role=%s problem=%s version=%s epoch=%s",
        state.name,
        state.role.value,
        state.problem,
        version,
        epoch,
    )


def shares_changed(shares: Iterable[NodeState], topology: Topology) -> None:
    """Log who shares the reads from now on, and how fast every node answers."""
    times = (
        f"{state.name}={1000 * state.latency:.1f}ms"
        for state in topology.nodes.values()
        if state.latency is not None
    )
    logger.info(
        "shares_changed reads_at=%s response=%s version=%s",
        ",".join(state.name for state in shares) or None,
        ",".join(times),
        topology.version,
    )


def position_missing(session: Session, node: Node, reply: Reply) -> None:
    """Log that a write succeeded and its position could not be had."""
    logger.warning(
        "position_missing session=%s node=%s error=%s consequence=reads_at_writer",
        session.id,
        node.name,
        reply.position_problem,
    )


def fence_refused(node: Node, means: Means, problem: object) -> None:
    """Log that a reader has refused to tell how far it is; the next fence is used."""
    logger.warning(
        "fence_refused node=%s fence=%s error=%s", node.name, means.value, problem
    )


def outcome_unknown(session: Session, node: Node, what: str) -> None:
    """Log that nobody knows whether a write was applied."""
    logger.warning(
        "outcome_unknown session=%s node=%s after=%s", session.id, node.name, what
    )


def outcome_learnt(session: Session, node: Node, judgement: Judgement) -> None:
    """Log what the database says became of a COMMIT that was not answered."""
    logger.info(
        "outcome_learnt session=%s node=%s outcome=%s why=%s",
        session.id,
        node.name,
        judgement.fate.value.replace(" ", "_"),
        judgement.why.replace(" ", "_") or None,
    )


def transaction_changed(session: Session, reader: Node, writer: Node) -> None:
    """Log that a transaction has to start over: it had read what has changed."""
    logger.info(
        "transaction_changed session=%s reader=%s writer=%s",
        session.id,
        reader.name,
        writer.name,
    )


def token_ignored(error: TokenError) -> None:
    """Log that a token was as if there were none; never its text."""
    logger.info("token_ignored reason=%s", error.reason)
