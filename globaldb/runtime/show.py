"""Tables about the cluster, as ``SHOW POOLS`` and ``SHOW GLOBALDB ...`` give them."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from globaldb.core.fence import best, means_between
from globaldb.core.selection import shares
from globaldb.core.topology import Role
from globaldb.errors import ProgrammingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from globaldb.core.routing import Route
    from globaldb.core.topology import NodeState
    from globaldb.runtime.cluster import ClusterRuntime
    from globaldb.runtime.session import Session


@dataclass(frozen=True, slots=True)
class Table:
    """Named, typed columns and their rows."""

    columns: tuple[tuple[str, type], ...]
    rows: tuple[tuple[Any, ...], ...]


def table(session: Session, what: str) -> Table:
    """Return the table named *what*; raises `ProgrammingError` for an unknown one."""
    make = _TABLES.get(what)
    if make is None:
        known = ", ".join(sorted(name.upper() for name in _TABLES))
        raise ProgrammingError(
            f"SHOW GLOBALDB {what.upper()} is not known; there is {known}"
        )
    return make(session)


def nodes(session: Session) -> Table:
    """Every node, as this process believes it to be now."""
    columns = (
        ("node", str),
        ("region", str),
        ("role", str),
        ("latency_ms", float),
        ("position", str),
        ("fence", str),
        ("problem", str),
        ("source", str),
        ("shares_reads", str),
        ("why_not", str),
    )
    cluster, config = session.cluster, session.cluster.config
    topology = cluster.topology
    why = shares(topology, window=config.latency_window, factor=config.latency_factor)
    rows = tuple(
        (
            state.name,
            state.region,
            state.role.value,
            None if state.latency is None else round(state.latency * 1000, 3),
            _position(state),
            _fence(cluster, state),
            state.problem,
            state.source,
            "no" if why[state.name] else "yes",
            why[state.name] or None,
        )
        for state in topology.nodes.values()
    )
    return Table(columns, rows)


def _position(state: NodeState) -> str | None:
    position = state.position
    return str(position) if position else None


def _fence(cluster: ClusterRuntime, state: NodeState) -> str | None:
    """Name the fence by which a session's own writes are found at a node."""
    able = cluster.node(state.name).facts.abilities
    if able is None:
        return None
    if state.role is Role.WRITER:
        return "none"
    writer = cluster.topology.writer
    if writer is None:
        return best(able).value
    told = cluster.node(writer.name).facts.now
    return means_between(told, able).value


def pools(session: Session) -> Table:
    """Every node's pool and its counters."""
    columns = (
        ("node", str),
        ("user", str),
        ("busy", int),
        ("connecting", int),
        ("idle", int),
        ("waiting", int),
        ("created", int),
        ("borrowed", int),
        ("borrow_time_us", int),
        ("returned", int),
        ("closed", int),
        ("abandoned", int),
        ("errors", int),
    )
    return Table(columns, tuple(_pool_row(session.cluster)))


def _pool_row(cluster: ClusterRuntime) -> list[tuple[Any, ...]]:
    rows = []
    for node in cluster.nodes.values():
        stats = node.pool.stats
        rows.append(
            (
                stats.name,
                cluster.config.user,
                stats.busy,
                stats.connecting,
                stats.idle,
                stats.waiting,
                stats.created,
                stats.borrowed,
                stats.borrow_time_us,
                stats.returned,
                stats.closed,
                stats.abandoned,
                stats.errors,
            )
        )
    return rows


def session_table(session: Session) -> Table:
    """Tell what this session asks for, and what it requires of the next reader."""
    books = session.books
    region_source = session.cluster.config.region_source or "nearest node"
    pairs = (
        ("consistency", session.consistency.value if session.consistency else "off"),
        ("region", session.region or ""),
        ("region_source", region_source),
        ("autocommit", str(session.autocommit).lower()),
        ("transaction", session.transaction.state.value),
        ("pinned", str(session.pinned).lower()),
        ("required_position", str(books.floor) if books.floor else ""),
        ("position_unknown", str(books.position_unknown).lower()),
        ("catalog", session.cluster.catalog.status),
        ("settings", ", ".join(name for name, _ in session.settings.current)),
    )
    return Table((("name", str), ("value", str)), pairs)


def route_table(route: Route) -> Table:
    """One decision, a row a fact."""
    pairs = (
        ("node", route.node or ""),
        ("region", route.region or ""),
        ("role", route.role.value),
        ("reason", route.reason),
        ("verdict", route.verdict),
        ("statement", route.statement),
        ("fence", route.fence.value),
        ("required", route.required or ""),
    )
    return Table((("name", str), ("value", str)), pairs)


def _last_route(session: Session) -> Table:
    if session.route is None:
        return Table((("name", str), ("value", str)), ())
    return route_table(session.route)


def catalog(session: Session) -> Table:
    """Every object of the database that is more than a read, and all its functions."""
    columns = (("kind", str), ("name", str), ("verdict", str), ("reason", str))
    known = session.cluster.knowledge.catalog
    kinds = (
        ("function", known.functions),
        ("relation", known.relations),
        ("operator", known.operators),
    )
    rows = tuple(
        (kind, name, found.verdict.value, found.reason)
        for kind, objects in kinds
        for name, found in sorted(objects.items())
        if "." in name or kind == "operator"
    )
    return Table(columns, rows)


def learned(session: Session) -> Table:
    """Every statement that a reader has refused since the objects last changed."""
    columns = (("statement", str), ("problem", str), ("node", str), ("age_s", float))
    now = monotonic()
    rows = tuple(
        (lesson.statement, lesson.problem, lesson.node, round(now - lesson.at, 1))
        for lesson in session.cluster.knowledge.lessons()
    )
    return Table(columns, rows)


def transactions(session: Session) -> Table:
    """Every beginning of transactions that has led to a write after reads."""
    columns = (
        ("statement", str),
        ("depth", int),
        ("seen", int),
        ("upgraded", int),
        ("changed", int),
        ("wrote_share", float),
        ("begins_at", str),
    )
    shapes, now = session.cluster.shapes, monotonic()
    rows = tuple(
        (
            shape.statement,
            shape.depth,
            shape.seen,
            shape.upgraded,
            shape.changed,
            round(shape.share, 3),
            "writer" if shapes.at_writer(shape, now) else "reader",
        )
        for shape in shapes.known()
    )
    return Table(columns, rows)


_TABLES: dict[str, Callable[[Session], Table]] = {
    "catalog": catalog,
    "learned": learned,
    "nodes": nodes,
    "pools": pools,
    "session": session_table,
    "route": _last_route,
    "transactions": transactions,
}
