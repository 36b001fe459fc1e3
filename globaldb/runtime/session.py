"""The logical connection: what an application's session is, between its statements."""

from __future__ import annotations

from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

from globaldb.core.consistency import Consistency, TransactionReads
from globaldb.core.hints import ROUTES
from globaldb.core.idiom import may_commit
from globaldb.core.lending import Outcome
from globaldb.core.routing import Intent, Route, forbids_readers, keeps_a_snapshot
from globaldb.core.session import SessionState
from globaldb.core.settings import DATABASE, SettingsBook
from globaldb.core.statement import Defines, Verdict
from globaldb.core.table_floors import TableFloors
from globaldb.core.temporary import TemporaryTables
from globaldb.core.topology import Role
from globaldb.core.transaction import Transaction, TransactionMode, TransactionState
from globaldb.core.trip import LinkStatus
from globaldb.errors import InterfaceError, ProgrammingError
from globaldb.runtime.causality import Part
from globaldb.runtime.session_key import Shared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from globaldb.core.journal import Journal
    from globaldb.core.lending import Lease
    from globaldb.core.position import Position
    from globaldb.core.settings import Settings
    from globaldb.core.shapes import Trail
    from globaldb.core.statement import Statement
    from globaldb.core.trip import Reply
    from globaldb.runtime.cluster import ClusterRuntime
    from globaldb.runtime.node import Node
    from globaldb.runtime.port import Work
    from globaldb.runtime.shell import Shell

#: Scripts that are pinned only for the transaction that they may leave open.
_OF_TRANSACTIONS = frozenset(
    f"script_{what}"
    for what in (
        *("begin", "commit", "rollback", "savepoint", "release", "rollback_to"),
        *("set_transaction", "prepare_transaction"),
        *("commit_prepared", "rollback_prepared"),
    )
)


class Session:
    """Consistency, settings, transaction and pin of one application connection.

    Holds a physical connection only inside a transaction, or while something lives
    on it that cannot be moved (a temporary table, a lock, LISTEN, a cursor).
    """

    #: The connection that ran this session's last statement on the writer.
    wrote_on: Any
    #: The connection on which a routine may have left what nobody knows of.
    untidy: Any
    #: Grows whenever something may have been committed.
    commits = 0
    #: Grows whenever the server has ended a transaction because a statement failed.
    undone = 0
    closed = False

    def __init__(self, cluster: ClusterRuntime, shell: Shell) -> None:
        config = cluster.config
        self.id = cluster.next_session()
        self.cluster, self.shell = cluster, shell
        by_table = config.safe_lag_scope == "table"
        self.books = SessionState(tables=TableFloors() if by_table else None)
        #: What is being executed, if the flow was told.
        self.work: Work | None = None
        #: What other processes know of it; None without a store of shared sessions.
        self.shared = None if cluster.store is None else Shared(cluster.store)
        self.part = Part()
        self.idiom = cluster.knowledge.idiom
        self.settings = SettingsBook(self.idiom)
        self.transaction = Transaction(self.idiom)
        #: The modes that `begin` uses when the application names none; those that SET
        #: TRANSACTION has asked of the next one alone, where that is what it means.
        self.mode = self.next_mode = TransactionMode()
        self.autocommit, self.timeout = config.autocommit, config.timeout
        self._consistency = config.consistency
        self._transaction_reads = TransactionReads(config.transaction_reads)
        #: Who forwards writes: ``driver``, ``native`` or ``strict``.
        self.forwarding = config.forwarding
        #: The mode before SQL changed it in this transaction, and whether by LOCAL.
        self._set_in_transaction: tuple[Consistency | None, bool] | None = None
        self._route = "auto"
        self._region: str | None = None
        self._max_staleness = config.max_staleness
        self.lease: Lease[Any] | None = None
        self._of_writer = False
        self.wrote_on = self.untidy = None
        self.node: Node | None = None
        #: What the reader held was fenced by when it was taken.
        self.met: Position | None = None
        #: Something lives on the lease that any statement may depend on.
        self.pinned_whole = False
        #: The lease is of a reader that has forwarded a write and not yet shown it:
        #: whether everything else that is required has a known position.
        self.forwarded: bool | None = None
        #: Only those that name one of these depend on the lease.
        self.temporary = TemporaryTables()
        #: currval() was used: from now on a write keeps its connection.
        self.pin_writes = False
        #: The settings applied on the lease before its transaction began.
        self.applied_before: Settings = ()
        self.route: Route | None = None
        self.face: Any = None
        #: The open transaction has left something on its reader: it cannot move.
        self.moored = False
        #: The open transaction has only read so far, at a reader: what it has done.
        self.journal: Journal | None = None
        #: How the open transaction began, if it may turn out to only read.
        self.trail: Trail | None = None
        #: The open transaction has changed what the catalog tells of.
        self.defining = Defines.NOTHING
        #: A decision that holds for the next plain read too; None when it must be
        #: made anew. See `globaldb.runtime.flow.read`.
        self.hot: Any = None
        cluster.sessions.add(self)

    # What the application asks for.

    @property
    def consistency(self) -> Consistency | None:
        """The promise kept for reads; None forwards no writes either."""
        return self._consistency

    @consistency.setter
    def consistency(self, value: Consistency | None) -> None:
        self._consistency = value
        self.hot = None

    def set_consistency(self, value: Consistency | None, *, local: bool) -> None:
        """Set the promise as SQL's SET does: a rollback undoes it.

        *local* lasts until the end of the transaction; outside one it does nothing.
        """
        if self.transaction.active:
            before, was_local = self._set_in_transaction or (self._consistency, True)
            self._set_in_transaction = (before, was_local and local)
        elif local:
            return
        self.consistency = value

    def defined(self, what: Defines) -> None:
        """Take note of a statement that changed what the catalog tells of.

        Others see it when it is committed.
        """
        if self.transaction.active:
            self.defining = max(self.defining, what, key=lambda each: each.value)
        elif what is not Defines.NOTHING:
            self.cluster.catalog.changed(what)

    def will_define(self, statement: Statement) -> None:
        """Take note of what the driver itself sends, and of which it alone hears."""
        what = statement.defines
        self.defining = max(self.defining, what, key=lambda each: each.value)
        # It may have given a temporary table another name.
        if self.temporary and what is not Defines.NOTHING:
            self.pinned_whole = True

    def failed(self, statement: Statement, reply: Reply) -> None:
        """Take note of what a statement that failed may have left all the same.

        A lost one may have been executed, a script half executed, and an advisory
        lock of the session stays whatever becomes of its statement.
        """
        ends = may_commit(statement, self.idiom) and reply.sent
        self.commits += ends
        if ends and (self.transaction.active or not self.autocommit):
            self.transaction.divided = True
        if reply.error is None or not reply.sent:
            return
        over = reply.status is LinkStatus.IDLE and not ends
        self.undone += over and self.transaction.state is TransactionState.OPEN
        lost = reply.status is LinkStatus.LOST
        if lost or statement.multiple or statement.reason == "opaque_body":
            self.certainly_defined(statement.defines)
        alone = statement.reason == "temporary_object" and not statement.multiple
        there = self.lease is None or self.on_writer
        if statement.verdict is Verdict.PIN and there and not (lost or alone):
            self.pinned_whole |= statement.reason not in _OF_TRANSACTIONS

    def certainly_defined(self, what: Defines) -> None:
        """Take note of a definition that does not depend on the transaction."""
        if what is not Defines.NOTHING:
            self.cluster.catalog.changed(what)

    def end_transaction(self, *, committed: bool) -> None:
        """Close the books of the transaction: it is over on the server."""
        if committed and self.transaction.state is TransactionState.OPEN:
            self.commits += 1
        self.transaction.end()
        if self.books.tables is not None:
            self.books.tables.ended()
        self.moored = False
        self.journal = None
        trail, self.trail = self.trail, None
        if trail is not None:
            self.cluster.shapes.ended(trail, monotonic())
        kept = committed or not self.idiom.undoes_settings
        self.temporary.end(committed=kept)
        defined, self.defining = self.defining, Defines.NOTHING
        if committed:
            self.defined(defined)
        self.settings.end(committed=committed)
        if self._set_in_transaction is not None:
            before, local = self._set_in_transaction
            self._set_in_transaction = None
            if local or not committed:
                self.consistency = before

    @contextmanager
    def moving(self) -> Iterator[None]:
        """Keep, while a transaction goes elsewhere, what its own end would undo."""
        kept, self._set_in_transaction = self._set_in_transaction, None
        try:
            yield
        except BaseException:
            if kept is not None:
                self.consistency = kept[0]
            raise
        self._set_in_transaction = kept

    @property
    def region(self) -> str | None:
        """Where the session is."""
        return self._region or self.cluster.home_region

    @property
    def intent(self) -> Intent:
        """What routing needs to know of the session's wishes."""
        staleness = self._max_staleness
        bound = None
        if staleness is not None:
            bound = self.cluster.heard.since(monotonic() - staleness)
        default = self.settings.value_of("default_transaction_isolation")
        return Intent(
            self._consistency,
            self._route,
            self.region,
            staleness,
            bound,
            serializable=forbids_readers(None, default),
            # Without a writer nobody can tell more; reads go on.
            outdated=self.cluster.catalog.outdated
            and self.cluster.topology.writer is not None,
            engine=self.cluster.config.engine,
        )

    @property
    def verifies(self) -> bool:
        """Whether what a transaction read at a reader is compared at the writer."""
        return self._transaction_reads is TransactionReads.VERIFIED

    @property
    def may_read_first(self) -> bool:
        """Whether the transaction that begins may read at a reader until it writes.

        Not where it was asked for more than READ COMMITTED gives, or declared READ
        WRITE, which a standby refuses.
        """
        mode = self.transaction.mode
        default = self.settings.value_of("default_transaction_isolation")
        return (
            self._transaction_reads is not TransactionReads.WRITER
            and mode.read_only is None
            and not keeps_a_snapshot(mode.isolation, default)
        )

    @property
    def has_options(self) -> bool:
        """Whether a decision depends on more than the consistency mode."""
        return (
            self._route != "auto"
            or self._region is not None
            or self._max_staleness is not None
            or self.timeout is not None
            or self.shared is not None
        )

    @property
    def route_option(self) -> str:
        """``auto``, ``reader`` or ``writer``."""
        return self._route

    @property
    def region_option(self) -> str | None:
        """The region asked for with ``using(region=...)``."""
        return self._region

    @contextmanager
    def using(self, **options: Any) -> Iterator[None]:
        """Apply *options* inside the block; see the connection's ``using``."""
        names = {
            "consistency": "_consistency",
            "route": "_route",
            "region": "_region",
            "max_staleness": "_max_staleness",
            "timeout": "timeout",
            "transaction_reads": "_transaction_reads",
        }
        if options.get("route", "auto") not in ROUTES:
            raise ProgrammingError(
                f"route is {options['route']!r}; it must be one of {', '.join(ROUTES)}"
            )
        before = {names[name]: getattr(self, names[name]) for name in options}
        for name, value in options.items():
            setattr(self, names[name], value)
        self.hot = None
        try:
            yield
        finally:
            for name, value in before.items():
                setattr(self, name, value)
            self.hot = None

    def deadline(self) -> float | None:
        """When a statement that starts now must have ended (monotonic seconds)."""
        return None if self.timeout is None else monotonic() + self.timeout

    # The physical connection.

    @property
    def pinned(self) -> bool:
        """Whether the lease stays after the transaction: something lives on it."""
        kept = self.pinned_whole or self.forwarded is not None
        return kept or bool(self.temporary)

    def unpin(self) -> None:
        """Take note that nothing lives on the lease any more."""
        self.pinned_whole = False
        self.forwarded = None
        self.temporary.clear()

    def keep(self, lease: Lease[Any], node: Node) -> None:
        """Hold *lease* from now on, for a transaction or a pin."""
        self._of_writer = node.state.role is Role.WRITER
        self.lease = lease
        self.node = node
        fenced = self._consistency is Consistency.SESSION
        self.met = self.books.floor if fenced else None
        self.hot = None

    def release(self, outcome: Outcome | None = None) -> None:
        """Give the lease back, unless something still lives on it.

        *outcome* overrides what the connection's own state suggests.
        """
        lease, node = self.lease, self.node
        if lease is None or node is None:
            return
        status = lease.connection.link_status
        if outcome is None and status is LinkStatus.IDLE and self.pinned:
            return
        self.lease = self.node = self.journal = None
        self.unpin()
        self.hand_back(lease, node, outcome)

    def account(self) -> None:
        """Take note of what ended on the lease held without telling its position."""
        if self.on_writer:
            self.books.lost_position()
        elif self.node is not None:
            self.books.read(self.node.name, monotonic())

    def drop_lease(self) -> None:
        """Give the lease up: its connection is of no use any more."""
        lease, node = self.lease, self.node
        self.lease = self.node = self.journal = self.forwarded = None
        if lease is not None and node is not None:
            self.cluster.suspect(node.name)
            self.hand_back(lease, node, Outcome.DISCARD)

    def hand_back(
        self, lease: Lease[Any], node: Node, outcome: Outcome | None = None
    ) -> None:
        """Return *lease* to its pool, as reusable as its state allows."""
        link = lease.connection
        link.face = None
        if link.spoiled or link.link_status is not LinkStatus.IDLE:
            outcome = Outcome.DISCARD
        elif self._chose_database(link):
            # Whoever has chosen none would be in this one: there is no way back.
            outcome = Outcome.DISCARD
        elif self.untidy is link and outcome in (None, Outcome.REUSE):
            outcome = Outcome.CLEAN
        if self.untidy is link:
            self.untidy = None
        node.pool.checkin(lease, outcome or Outcome.REUSE)

    def _chose_database(self, link: Any) -> bool:
        """Whether a database is in use on *link* where there was none at connect."""
        if not link.settings or self.cluster.config.database is not None:
            return False
        return any(name == DATABASE for name, _ in link.settings)

    @property
    def on_writer(self) -> bool:
        """Whether the lease held was taken from the writer.

        What its node is believed to be now does not change what was sent to it.
        """
        return self.node is not None and self._of_writer

    # The end.

    def close(self) -> None:
        """End the session; what it holds is rolled back and cleaned."""
        if self.closed:
            return
        self.closed = True
        self.hot = None
        if self.lease is not None:
            self.release(Outcome.CLEAN if self.pinned else Outcome.DISCARD)
        self.cluster.sessions.discard(self)

    def abandon(self) -> None:
        """End the session from a finalizer: no lock is taken, nothing is waited for."""
        self.closed = True
        if self.lease is not None and self.node is not None:
            self.node.pool.drop(self.lease)

    def transaction_lost(self) -> None:
        """Take note that the connection held is gone, and the transaction on it."""
        if self.transaction.active:
            self.transaction.lost()
        self.account()
        self.release(Outcome.DISCARD)

    def refuse_closed(self) -> None:
        """Raise `InterfaceError` when the session is closed."""
        if self.closed:
            raise InterfaceError("the connection is closed")

    def forget_after_fork(self) -> None:
        """Let go, in a forked child, of what belongs to the parent."""
        self.hot = None
        if self.lease is not None:
            # The parent's transaction goes on in the parent; here it never was.
            self.lease = self.node = None
            self.closed = True
