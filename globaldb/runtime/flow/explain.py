"""Where a statement would go, without sending it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from globaldb.core.routing import Fence, Route, Target, decide
from globaldb.core.topology import Role
from globaldb.runtime.flow.causality import learn
from globaldb.runtime.flow.execute import free_of_lease
from globaldb.runtime.flow.forwarding import native_target
from globaldb.runtime.flow.placement import transaction_target
from globaldb.runtime.flow.touch import reads_of_text

if TYPE_CHECKING:
    from globaldb.core.position import Position
    from globaldb.core.statement import Statement
    from globaldb.runtime.session import Session


def explain(session: Session, statement: Statement, sql: str | bytes) -> Route:
    """Say where *statement*, whose text is *sql*, would go now; send nothing."""
    if session.lease is None:
        learn(session)
    node = session.node
    if node is not None and not free_of_lease(session, statement, sql):
        why = "transaction" if session.transaction.active else "pinned"
        role, floor = node.state.role, session.books.floor
        return _explained(session, node.name, role, why, statement, floor=floor)
    reads = None
    if session.transaction.active or not session.autocommit:
        decision = transaction_target(session, statement, sql)
    else:
        topology, reads = session.cluster.topology, reads_of_text(session, sql)
        decision = native_target(session, statement, sql) or decide(
            statement, session.intent, session.books, topology, reads
        )
    if decision.target is Target.READER:
        near = session.cluster.near(region=session.region_option)
        stay = session.books.read_node
        names = [state.name for state in near]
        if names:
            name = stay if stay in names else names[0]
            role = session.cluster.node(name).state.role
            floor = session.books.requirement(reads)
            why = decision.reason
            return _explained(session, name, role, why, statement, floor=floor)
    writer = session.cluster.topology.writer
    known = writer.name if writer is not None else None
    return _explained(session, known, Role.WRITER, decision.reason, statement)


def _explained(
    session: Session,
    name: str | None,
    role: Role,
    reason: str,
    statement: Statement,
    *,
    floor: Position | None = None,
) -> Route:
    needs = role is Role.READER and floor is not None
    return Route(
        role=role,
        node=name,
        region=session.cluster.node(name).region if name else None,
        reason=reason,
        verdict=statement.verdict.value,
        statement=statement.reason,
        fence=Fence.EXACT if needs else Fence.NONE,
        required=str(floor) if needs else None,
    )
