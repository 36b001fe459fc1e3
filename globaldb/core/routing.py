"""Where a statement goes, and why: one decision, made without waiting."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from globaldb.core.consistency import VARIABLES, Consistency
from globaldb.core.statement import ShowSetting, Statement, Verdict
from globaldb.core.topology import Role  # noqa: TC001 - a field of a dataclass
from globaldb.errors import ReadOnlyError

if TYPE_CHECKING:
    from globaldb.core.position import Position
    from globaldb.core.session import SessionState
    from globaldb.core.tables import Tables
    from globaldb.core.topology import Topology
    from globaldb.core.transaction import TransactionMode


class Fence(Enum):
    """How it was established that the chosen node is fresh enough."""

    #: Nothing had to be established.
    NONE = "none"
    #: The node has replayed the required position, or is the writer.
    EXACT = "exact"
    #: Only a time says so.
    BOUNDED = "bounded"


@dataclass(frozen=True, slots=True)
class Route:
    """The decision for one statement, and its stable reason code."""

    role: Role
    node: str | None
    region: str | None
    #: Why there: a stable code, e.g. ``nearest_reader`` or ``write_statement``.
    reason: str
    #: What the text was taken for.
    verdict: str = ""
    #: Why the text was taken for that.
    statement: str = ""
    fence: Fence = Fence.NONE
    #: The position the node had to have reached.
    required: str | None = None
    #: Seconds spent waiting for that.
    waited: float = 0.0
    #: Nodes that were tried before, and did not serve.
    tried: tuple[str, ...] = ()
    #: Seconds that the nearest reader was expected to take until it had that; None
    #: when it had it already, or nothing was known of how it lags.
    estimate: float | None = None
    #: What the nodes that were not chosen for it were expected to cost, in seconds.
    alternatives: tuple[tuple[str, float], ...] = ()

    def __str__(self) -> str:
        text = f"{self.role.value} {self.node or '(none)'}: {self.reason}"
        if self.required is not None:
            text += f", required {self.required}, waited {self.waited * 1000:.1f} ms"
        return text


class Target(Enum):
    """Who may serve."""

    WRITER = "writer"
    READER = "reader"


@dataclass(frozen=True, slots=True)
class Decision:
    """Who may serve a statement, and what must be true of the node first."""

    target: Target
    reason: str
    #: A reader must have replayed this.
    required: Position | None = None
    #: The tables that are read, as far as floors by table need to know.
    reads: Tables = None


@dataclass(frozen=True, slots=True)
class Intent:
    """What the session asks for: its consistency mode and its overrides."""

    consistency: Consistency | None
    #: ``auto``, ``reader`` or ``writer``, from ``using(route=...)``.
    route: str = "auto"
    region: str | None = None
    #: Seconds a read may be behind, when it may be behind at all.
    max_staleness: float | None = None
    #: A position of the writer no older than that; None when none is known.
    staleness_bound: Position | None = None
    #: Each statement is a serializable transaction, which a hot standby refuses.
    serializable: bool = False
    #: A definition has passed by that may have changed what statements do.
    outdated: bool = False
    #: The engine in whose words a write is refused.
    engine: str = "postgresql"


#: Settings that say what the node is; one connection would be one to the writer.
ROLE_DEPENDENT = frozenset(
    ("transaction_read_only", "in_hot_standby", "default_transaction_read_only", "all")
)

#: The reason of a read that goes where reads go.
NEAREST_READER = "nearest_reader"

#: Verdicts that a reader may serve when it is fresh enough.
READS = frozenset((Verdict.READ, Verdict.NODE_LOCAL))


#: Refused in every read-only transaction, wherever it runs; so is what a pipeline
#: brings, which is looked at on its own.
_REFUSED_ANYWHERE = frozenset(
    (
        "write_statement",
        "data_modifying_cte",
        "locking_clause",
        "definition",
        "pipeline",
    )
)


#: How each engine's reader refuses a write.
_REFUSALS = {
    "postgresql": "cannot execute this statement in a read-only session",
    "mysql": "The MySQL server is running with the --read-only option so it cannot "
    "execute this statement",
}


def needs_writer(statement: Statement) -> bool:
    """Whether a read-only transaction has to be on the writer for *statement*.

    Some of these a reader refuses; others (advisory locks, functions nobody knows) it
    would run, and nobody would notice.
    """
    if statement.verdict is Verdict.TRANSACTION:
        return statement.action is None
    return statement.verdict is Verdict.PIN or (
        statement.verdict is Verdict.WRITE and statement.reason not in _REFUSED_ANYWHERE
    )


def decide(
    statement: Statement,
    intent: Intent,
    session: SessionState,
    topology: Topology,
    reads: Tables = None,
) -> Decision:
    """Decide who may serve *statement*, which reads *reads*, outside a transaction.

    Unknown means writer. Raises `ReadOnlyError` for what would need write forwarding
    in a session that has it switched off.
    """
    if statement.verdict in READS:
        return decide_read(intent, session, topology, reads)
    if isinstance(statement.action, ShowSetting) and (
        statement.action.name not in ROLE_DEPENDENT
    ):
        # Settings are replayed wherever the session goes, so any node knows them.
        return Decision(Target.READER, "setting")
    if statement.verdict is Verdict.SAME_CONNECTION:
        return Decision(Target.WRITER, "same_connection")
    refuse_write(intent, topology)
    return Decision(Target.WRITER, statement.reason)


def decide_read(
    intent: Intent, session: SessionState, topology: Topology, reads: Tables = None
) -> Decision:
    """Decide who may serve a read, or a whole read-only transaction.

    The latter may read any table, and so may what *reads* does not tell of.
    """
    writer_only = _writer_only(intent)
    if writer_only is not None:
        return Decision(Target.WRITER, writer_only)
    if intent.consistency in (None, Consistency.EVENTUAL):
        return _decide_eventual(intent)
    if intent.consistency is Consistency.GLOBAL:
        return Decision(Target.WRITER, "global_read")
    no_reader = session.needs_writer(topology.epoch, reads)
    if no_reader is not None:
        return Decision(Target.WRITER, no_reader)
    required = session.requirement(reads)
    return Decision(Target.READER, NEAREST_READER, required, reads)


def _writer_only(intent: Intent) -> str | None:
    """Return why no reader may serve, whatever it has replayed; None if one may."""
    if intent.serializable:
        return "serializable"
    if intent.outdated:
        return "catalog_outdated"
    return "route_option" if intent.route == "writer" else None


def _decide_eventual(intent: Intent) -> Decision:
    if intent.max_staleness is None:
        return Decision(Target.READER, NEAREST_READER)
    if intent.staleness_bound is None:
        return Decision(Target.WRITER, "max_staleness")
    return Decision(Target.READER, NEAREST_READER, intent.staleness_bound)


def refuse_write(intent: Intent, topology: Topology) -> None:
    """Refuse a write in a session that forwards none, as Aurora's readers do."""
    if intent.consistency is not None:
        return
    writer = topology.writer
    if writer is not None and writer.region == intent.region:
        return
    raise ReadOnlyError(
        f"{_REFUSALS[intent.engine]}: write forwarding is "
        f"off (consistency is not set) and region {intent.region} is not the "
        f"writer's ({writer.region if writer else 'not known'}). "
        f"SET {VARIABLES[intent.engine]} = 'session' (or eventual, global), "
        "or set connection.consistency"
    )


def declared_read_only(mode: TransactionMode, default: str | None) -> bool:
    """Whether a transaction in *mode* is declared read only.

    *default* is the statement with which the session set its default access mode.
    """
    if mode.read_only is not None or default is None:
        return bool(mode.read_only)
    last = default.rstrip("; \n").lower().rpartition(" ")[2].strip("'=")
    return last in ("on", "true", "1", "yes", "only")


def forbids_readers(mode_isolation: str | None, default: str | None) -> bool:
    """Whether a transaction's isolation level is one a hot standby refuses.

    *default* is the statement with which the session set its default level.
    """
    if mode_isolation is not None:
        return mode_isolation.upper() == "SERIALIZABLE"
    return default is not None and "serializable" in default.lower()


def keeps_a_snapshot(mode_isolation: str | None, default: str | None) -> bool:
    """Whether a transaction was asked for that reads the same state throughout.

    *default* is the statement with which the session set its default level.
    """
    asked = mode_isolation if mode_isolation is not None else default or ""
    return any(level in asked.lower() for level in ("repeatable", "serializable"))
