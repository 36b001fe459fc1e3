"""Aurora's own write forwarding: kept to its limits, or left to the reader.

With ``forwarding="strict"`` a session in a reader region is refused what Aurora refuses
there. With ``"native"`` the reader forwards by itself what it certainly can; the rest
goes to the writer, as always.
"""

from __future__ import annotations

from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from globaldb.core.consistency import VARIABLES, Consistency
from globaldb.core.forwarding import (
    forwards,
    not_forwarded,
    refused,
    refused_level,
    switched,
)
from globaldb.core.lexer import decoded
from globaldb.core.routing import (
    READS,
    Decision,
    Target,
    decide_read,
    declared_read_only,
)
from globaldb.core.script import pieces
from globaldb.core.statement import (
    Execute,
    Prepare,
    SetConsistency,
    Statement,
    Verdict,
)
from globaldb.core.transaction import TransactionState
from globaldb.runtime.flow.patience import patience

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from globaldb.core.lexer import Token
    from globaldb.core.settings import Settings
    from globaldb.core.transaction import TransactionMode
    from globaldb.runtime.session import Session

#: The reason of what a reader is left to forward, and of what is read beside it.
NATIVE: Final = "native_forwarding"

#: The value of the option with which the reader forwards.
NATIVE_OPTION: Final = "native"
_STRICT: Final = "strict"
_WRITES: Final = (Verdict.WRITE, Verdict.PIN)
_BEGINNING: Final = (TransactionState.IDLE, TransactionState.BEGUN)
#: The names under which a session's isolation level is recorded.
_LEVELS: Final = ("default_transaction_isolation", "transaction_isolation")
#: What a transaction takes along wherever it is.
_PASSING: Final = (Verdict.SESSION, Verdict.TRANSACTION)


def switch_mode(session: Session, action: SetConsistency) -> None:
    """Set the session's mode as SQL's SET asks for it.

    Raises `SettingError` for what is no mode, or may not be set now.
    """
    config = session.cluster.config
    mode = switched(
        config.engine,
        action.mode,
        before=session.consistency,
        default=config.consistency,
        inside=session.transaction.active,
    )
    session.set_consistency(mode, local=action.local)


def refuse_unsupported(
    session: Session, statement: Statement, sql: str | bytes | None
) -> None:
    """Refuse what Aurora would not forward, in a session that asks for that.

    Raises `NotForwardedError`; nothing was sent. Without its text *sql* the statement
    is judged by its kind alone.
    """
    if session.forwarding != _STRICT:
        return
    operation = _operation(session, statement, sql)
    if operation is not None and _in_reader_region(session):
        engine = session.cluster.config.engine
        raise not_forwarded(engine, operation, session.region)


def refuse_kind(session: Session, statement: Statement) -> None:
    """Refuse, where Aurora would, what the driver itself is about to say."""
    refuse_unsupported(session, statement, None)
    refuse_at_forwarder(session, statement, None)


def left_to_reader(session: Session) -> bool:
    """Whether the session's writes are forwarded by the reader that it uses."""
    return session.forwarding == NATIVE_OPTION and _in_reader_region(session)


def native_target(
    session: Session, statement: Statement | None, sql: str | bytes | None
) -> Decision | None:
    """Decide for a reader that forwards by itself; None where it is not asked to.

    Besides what the reader waits for by itself, it must have what the session has
    written or read elsewhere.
    """
    if statement is None or sql is None or not left_to_reader(session):
        return None
    if session.transaction.has_savepoints or not _taken(session, statement, sql):
        return None
    intent = session.intent
    if intent.consistency is Consistency.GLOBAL:
        # What is newer than the session's own reads, the reader fetches by itself.
        intent = replace(intent, consistency=Consistency.SESSION)
    found = decide_read(intent, session.books, session.cluster.topology)
    return replace(found, reason=NATIVE) if found.target is Target.READER else None


def settings_for(session: Session, link: Any) -> Settings:
    """Return the settings to have on *link*: a reader that forwards knows the mode."""
    current = session.settings.current
    mode = session.consistency
    if session.forwarding != NATIVE_OPTION or mode is None or not link.standby:
        return current
    if not _in_reader_region(session):
        return current
    name = VARIABLES[session.cluster.config.engine]
    return (*current, (name, f"SET {name} = '{mode.value}'"))


def noted(session: Session, statement: Statement) -> None:
    """Take note of what a reader that forwards has done on the lease held.

    It shows what it has forwarded to the connection that asked for it, so that one is
    kept, until a read on it has been answered: then the node itself has it.
    """
    node, books = session.node, session.books
    if node is None or session.on_writer or not left_to_reader(session):
        return
    if statement.verdict in _WRITES:
        if session.forwarded is None or not books.position_unknown:
            session.forwarded = not books.position_unknown
        books.lost_position()
    elif statement.verdict is Verdict.READ and not session.transaction.active:
        waited = session.consistency is not Consistency.EVENTUAL
        if waited and session.forwarded:
            books.position_unknown = False
        session.forwarded = None
        books.read(node.name, monotonic())


def leave_forwarder(
    session: Session, statement: Statement, sql: str | bytes | None
) -> None:
    """Let go of the reader kept for what it has forwarded, if it is not to serve this.

    Where that has come to is not known then: the next read asks the writer.
    """
    lease = session.lease
    if session.forwarded is None or lease is None or session.on_writer:
        return
    if session.transaction.state not in _BEGINNING:
        return
    if lease.connection.hung_up() or not _may_stay(session, statement, sql):
        session.forwarded = None
        session.release()


def _may_stay(session: Session, statement: Statement, sql: str | bytes | None) -> bool:
    """Whether *statement* may run on the reader's connection that was kept."""
    ordered = session.consistency is Consistency.SESSION
    if not session.forwarded or (ordered and session.books.floor is not session.met):
        # Something was required meanwhile that it may not have.
        return False
    if statement.verdict is Verdict.SAME_CONNECTION:
        return True
    return left_to_reader(session) and _taken(session, statement, sql)


def at_forwarder(session: Session) -> bool:
    """Whether the open transaction runs at a reader that forwards what it writes."""
    return (
        session.lease is not None
        and not session.on_writer
        and session.journal is None
        and session.transaction.active
        and left_to_reader(session)
        and not reads_only(session)
    )


def refuse_at_forwarder(
    session: Session, statement: Statement, sql: str | bytes | None
) -> None:
    """Refuse what a transaction at a reader that forwards cannot hold.

    It cannot go on at the writer: what was forwarded belongs to another connection.
    """
    if not at_forwarder(session) or statement.verdict is Verdict.SAME_CONNECTION:
        return
    if not _taken(session, statement, sql):
        operation = _operation(session, statement, sql) or statement.command
        engine = session.cluster.config.engine
        raise not_forwarded(engine, operation, session.region)


def reads_only(session: Session) -> bool:
    """Whether the transaction, open or about to be, is declared read only."""
    default = session.settings.value_of("default_transaction_read_only")
    return declared_read_only(_modes(session), default)


def _modes(session: Session) -> TransactionMode:
    """Return what the transaction, open or about to be, was asked to be like."""
    transaction = session.transaction
    begun = transaction.active or session.autocommit
    return transaction.mode if begun else session.mode


def _in_reader_region(session: Session) -> bool:
    """Whether a plain connection from here would be one to a reader that forwards."""
    if session.consistency is None or session.route_option == "writer":
        return False
    writer = session.cluster.topology.writer
    return writer is not None and writer.region != session.region


async def know_writer(session: Session, statement: Statement) -> None:
    """Wait until it is known which region has the writer, where that decides."""
    if (
        session.forwarding == "driver"
        or session.cluster.topology.writer is not None
        or statement.verdict in READS
    ):
        return
    await session.shell.await_writer(patience(session, session.deadline()))


def _taken(session: Session, statement: Statement, sql: str | bytes | None) -> bool:
    """Whether a reader certainly does *statement*, by itself or by forwarding it."""
    if statement.multiple or _operation(session, statement, sql) is not None:
        return False
    inside = session.transaction.active and statement.verdict in _PASSING
    if statement.verdict in READS or inside:
        return True
    tokens = () if sql is None else session.cluster.knowledge.tokens(sql)
    return forwards(statement, tokens, session.temporary.names)


def _operation(
    session: Session, statement: Statement, sql: str | bytes | None
) -> str | None:
    """Return the operation as which Aurora refuses *statement* here, if it does."""
    engine = session.cluster.config.engine
    for one, tokens, text in _parts(session, statement, sql):
        runs = one.verdict in _WRITES and text is not None
        own = runs and session.cluster.knowledge.runs_functions(text or "")
        operation = refused(
            engine,
            one,
            tokens,
            temporary=session.temporary.names,
            own_functions=own,
            read_only=reads_only(session),
        )
        if operation is None and _level_matters(engine, one):
            operation = refused_level(engine, _level(session))
        if operation is not None:
            return operation
    return None


def _parts(
    session: Session, statement: Statement, sql: str | bytes | None
) -> Iterator[tuple[Statement, Sequence[Token], str | None]]:
    """Take apart what is to be judged: a script, or what was prepared."""
    knowledge = session.cluster.knowledge
    if isinstance(statement.action, Execute):
        sql = session.settings.prepared(statement.action.name)
        prepare = None if sql is None else session.cluster.lookup(sql).action
        if isinstance(prepare, Prepare):
            statement = prepare.body
    if sql is None:
        yield statement, (), None
        return
    text, tokens = decoded(sql), knowledge.tokens(sql)
    if not statement.multiple:
        yield statement, tokens, text
        return
    for piece in pieces(tokens):
        part = text[piece[0].start : piece[-1].end]
        yield session.cluster.lookup(part), piece, part


def _level_matters(engine: str, statement: Statement) -> bool:
    """Whether *statement* is refused in an isolation level that Aurora refuses.

    A standby of PostgreSQL does not even read in the one that is meant there.
    """
    reads = statement.verdict in READS and statement.action is None
    return statement.verdict in _WRITES or (engine == "postgresql" and reads)


def _level(session: Session) -> str | None:
    """Return the isolation level that was asked for, or the statement that did."""
    asked = _modes(session).isolation
    if asked is not None:
        return asked
    found = (session.settings.value_of(name) for name in _LEVELS)
    return next((sql for sql in found if sql is not None), None)
