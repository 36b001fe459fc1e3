"""What a read may assume about the writes before it."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from globaldb.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Consistency(Enum):
    """How fresh a read must be.

    A connection may also have no consistency at all (``None``): it then refuses
    writes while it sits in a reader region.
    """

    #: A read sees every earlier write of its own session.
    SESSION = "session"
    #: A read sees everything committed anywhere before it began.
    GLOBAL = "global"
    #: A read sees what the nearest reader has.
    EVENTUAL = "eventual"


class TransactionReads(Enum):
    """Where a transaction that has declared nothing reads before its first write."""

    #: At a reader; the first write goes to the writer together with what was read,
    #: and what is different there fails the transaction.
    VERIFIED = "verified"
    #: At a reader, and nothing is compared, as in Aurora's own write forwarding.
    LOCAL = "local"
    #: Everything runs on the writer.
    WRITER = "writer"


#: The name under which Aurora knows the consistency mode of a session, by engine.
VARIABLES: Final[Mapping[str, str]] = {
    "postgresql": "apg_write_forward.consistency_mode",
    "mysql": "aurora_replica_read_consistency",
}

#: Words for "no consistency", as Aurora PostgreSQL (OFF) and MySQL (empty) spell it.
NO_CONSISTENCY = frozenset({"", "off", "none"})


def parse_consistency(text: str) -> Consistency | None:
    """Read a consistency from *text*; None for ``off``, ``none`` and nothing.

    Raises `ConfigurationError` when it is none of the known words.
    """
    word = text.strip().lower()
    if word in NO_CONSISTENCY:
        return None
    try:
        return Consistency(word)
    except ValueError:
        known = ", ".join(repr(level.value) for level in Consistency)
        raise ConfigurationError(
            f"consistency is {text!r}; it must be one of {known} or 'off'"
        ) from None


def parse_transaction_reads(value: TransactionReads | str) -> TransactionReads:
    """Read where transactions read from *value*, a word or what this returns.

    Raises `ConfigurationError` when it is none of the known words.
    """
    try:
        return TransactionReads(value)
    except ValueError:
        known = ", ".join(repr(each.value) for each in TransactionReads)
        raise ConfigurationError(
            f"transaction_reads is {value!r}; it must be one of {known}"
        ) from None
