"""What a text means to the session: its verdict, and the parts it must understand.

A statement is a value: the same text always gives an equal one, so it can be kept in
a cache and shared by all sessions. Names of settings, cursors and savepoints are
stored as the server folds them (lower case unless quoted, without the quotes).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Verdict(Enum):
    """Where a statement may run, in the words of the design.

    ``NODE_LOCAL`` and ``SAME_CONNECTION`` say where an answer comes from, not that it
    is free of data: such a statement may read tables too, so it needs the same fence
    as a read, and its answer is never cached.
    """

    READ = "read"
    WRITE = "write"
    PIN = "pin"
    SESSION = "session"
    TRANSACTION = "transaction"
    SAME_CONNECTION = "same_connection"
    NODE_LOCAL = "node_local"


class Defines(Enum):
    """What a statement changes of the objects that a catalog tells of."""

    NOTHING = 0
    #: Tables and the like: what only stores.
    DATA = 1
    #: Functions, views, policies: what acts when it is read.
    CODE = 2


@dataclass(frozen=True, slots=True)
class Begin:
    """BEGIN or START TRANSACTION; what was not said is ``None``.

    *isolation* is one of ``"read uncommitted"``, ``"read committed"``,
    ``"repeatable read"``, ``"serializable"``.
    """

    isolation: str | None = None
    read_only: bool | None = None
    deferrable: bool | None = None


@dataclass(frozen=True, slots=True)
class SetTransaction:
    """SET TRANSACTION, or SET of a ``transaction_*`` parameter."""

    isolation: str | None = None
    read_only: bool | None = None
    deferrable: bool | None = None


@dataclass(frozen=True, slots=True)
class SetCharacteristics:
    """SET SESSION CHARACTERISTICS AS TRANSACTION: defaults for later transactions."""

    isolation: str | None = None
    read_only: bool | None = None
    deferrable: bool | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """COMMIT or END."""

    chain: bool = False


@dataclass(frozen=True, slots=True)
class Rollback:
    """ROLLBACK or ABORT."""

    chain: bool = False


@dataclass(frozen=True, slots=True)
class Savepoint:
    """SAVEPOINT *name*."""

    name: str


@dataclass(frozen=True, slots=True)
class Release:
    """RELEASE [SAVEPOINT] *name*."""

    name: str


@dataclass(frozen=True, slots=True)
class RollbackTo:
    """ROLLBACK TO [SAVEPOINT] *name*."""

    name: str


@dataclass(frozen=True, slots=True)
class PrepareTransaction:
    """PREPARE TRANSACTION: the first half of a two-phase commit."""

    gid: str


@dataclass(frozen=True, slots=True)
class CommitPrepared:
    """COMMIT PREPARED."""

    gid: str


@dataclass(frozen=True, slots=True)
class RollbackPrepared:
    """ROLLBACK PREPARED."""

    gid: str


@dataclass(frozen=True, slots=True)
class SetSetting:
    """SET of one setting; *sql* is the statement to replay on another connection.

    *value* is the literal or word it was set to (a list stays as written); ``None``
    where it comes from a placeholder or from the server (``FROM CURRENT``).
    """

    name: str
    sql: str
    local: bool = False
    value: str | None = None


@dataclass(frozen=True, slots=True)
class ResetSetting:
    """RESET of one setting, or of all when *name* is ``None``; also SET TO DEFAULT."""

    name: str | None
    sql: str
    local: bool = False


@dataclass(frozen=True, slots=True)
class SetConfig:
    """A SELECT of nothing but ``set_config()`` calls; replayed as it is.

    *name* and *value* are ``None`` unless there is one call with literals. *local*
    is the third argument.
    """

    name: str | None
    local: bool | None
    sql: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class ShowSetting:
    """SHOW of one setting; ``"all"`` for SHOW ALL."""

    name: str


@dataclass(frozen=True, slots=True)
class Load:
    """LOAD of a library into the server process; replayed like a setting."""

    library: str
    sql: str


@dataclass(frozen=True, slots=True)
class Discard:
    """DISCARD; *what* is ``"ALL"``, ``"PLANS"``, ``"SEQUENCES"`` or ``"TEMP"``."""

    what: str


@dataclass(frozen=True, slots=True)
class Prepare:
    """PREPARE *name* AS *body*; *sql* is the whole statement, for replay."""

    name: str
    body: Statement
    sql: str


@dataclass(frozen=True, slots=True)
class Execute:
    """EXECUTE *name*, whose arguments do no more than read.

    The verdict of the prepared body, which the session knows, is the verdict of this.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Deallocate:
    """DEALLOCATE of one prepared statement, or of all when *name* is ``None``."""

    name: str | None


@dataclass(frozen=True, slots=True)
class Copy:
    """COPY through the connection: to the client, or from it."""

    to_client: bool


@dataclass(frozen=True, slots=True)
class SetConsistency:
    """The consistency mode of the connection, set in SQL.

    *mode* is ``"session"``, ``"global"``, ``"eventual"``, ``None`` for off or empty,
    ``"default"`` for RESET and DEFAULT; anything else is what was written, in lower
    case, for the session to refuse.
    """

    mode: str | None
    local: bool = False


@dataclass(frozen=True, slots=True)
class ShowConsistency:
    """SHOW of the consistency mode under the name *variable*."""

    variable: str


@dataclass(frozen=True, slots=True)
class GlobaldbShow:
    """SHOW POOLS, SHOW GLOBALDB *what*: answered by the connection itself."""

    what: str


@dataclass(frozen=True, slots=True)
class ExplainRoute:
    """EXPLAIN ROUTE *sql*: answered by the connection itself."""

    sql: str


@dataclass(frozen=True, slots=True)
class Listen:
    """LISTEN on a channel."""

    channel: str


@dataclass(frozen=True, slots=True)
class Unlisten:
    """UNLISTEN of one channel, or of all when *channel* is ``None``."""

    channel: str | None


Action = (
    Begin
    | SetTransaction
    | SetCharacteristics
    | Commit
    | Rollback
    | Savepoint
    | Release
    | RollbackTo
    | PrepareTransaction
    | CommitPrepared
    | RollbackPrepared
    | SetSetting
    | ResetSetting
    | SetConfig
    | ShowSetting
    | Load
    | Discard
    | Prepare
    | Execute
    | Deallocate
    | Copy
    | SetConsistency
    | ShowConsistency
    | GlobaldbShow
    | ExplainRoute
    | Listen
    | Unlisten
)


@dataclass(frozen=True, slots=True)
class Statement:
    """A classified text.

    *reason* is a stable code in snake case. *command* is the leading keyword in upper
    case, empty for a text without one. *action* is the parsed detail of a statement
    that the session itself must understand. *multiple* means more than one statement
    in the text: it must travel as a simple query. *alone* means it may not share a
    pipeline's implicit transaction with other commands. *defines* tells what it changes
    of the objects which the catalog tells of. *hints* are options that stand in the text.
    *plain* is true of a read about which nothing more is to be known.
    """

    verdict: Verdict
    reason: str
    command: str
    action: Action | None = None
    multiple: bool = False
    alone: bool = False
    defines: Defines = Defines.NOTHING
    hints: tuple[tuple[str, Any], ...] = ()
    plain: bool = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Work out what the short way of a read asks for."""
        plain = self.verdict is Verdict.READ and self.action is None and not self.hints
        object.__setattr__(self, "plain", plain)
