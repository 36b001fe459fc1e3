"""What an application takes for one transaction, and a server perhaps does not.

On MySQL definitions and procedures commit what is before them, and a script may do so
anywhere. The application has one transaction all the same, until it ends it: an error
behind such a part must not say that the whole may be done again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from globaldb.core.statement import Begin, Commit, Rollback
from globaldb.errors import Error
from globaldb.runtime.flow import transaction as tx
from globaldb.runtime.flow.causality import tell
from globaldb.runtime.flow.execute import execute as execute_one
from globaldb.runtime.flow.faults import DIVIDED
from globaldb.runtime.flow.hold import hold as hold_one, settle_hold as settle_one

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from globaldb.core.transaction import TransactionMode
    from globaldb.runtime.port import Work
    from globaldb.runtime.session import Session

#: What says where a transaction begins or ends.
_BOUNDS: Final = (Begin, Commit, Rollback)


def begin(session: Session, mode: TransactionMode) -> None:
    """Begin a transaction because the application asks for it."""
    tx.begin(session, mode)
    session.transaction.divided = False


async def commit(session: Session) -> None:
    """Commit because the application asks for it."""
    await _ending(session, tx.commit(session))


async def rollback(session: Session) -> None:
    """Roll back because the application asks for it."""
    await _ending(session, tx.rollback(session))


async def execute(session: Session, work: Work) -> None:
    """Execute *work* where it belongs; its cursor holds the answer afterwards."""
    story = execute_one(session, work)
    if isinstance(work.statement.action, _BOUNDS):
        await _ending(session, story)
    else:
        await _beside_others(session, story)


async def hold(
    session: Session, work: Work, *, begin: bool = True, along: list[str] | None = None
) -> Any:
    """Hold a connection for *work*; see `globaldb.runtime.flow.hold.hold`."""
    story = hold_one(session, work, begin=begin, along=along)
    return await _beside_others(session, story)


async def settle_hold(
    session: Session,
    work: Work,
    *,
    failed: bool,
    failure: Exception | None = None,
) -> None:
    """Let go of it; see `globaldb.runtime.flow.hold.settle_hold`."""
    story = settle_one(session, work, failed=failed, failure=failure)
    await _beside_others(session, story)


async def _ending(session: Session, story: Coroutine[Any, Any, None]) -> None:
    """Go through *story*, behind which nothing is left of a transaction."""
    try:
        await _beside_others(session, story)
    finally:
        session.transaction.divided = False


async def _beside_others(session: Session, story: Coroutine[Any, Any, Any]) -> Any:
    """Go through *story*, one of a transaction's, perhaps; its error is not all."""
    try:
        return await story
    except Exception as error:
        if session.transaction.divided:
            _tell(error)
        raise
    finally:
        # Whatever has become of it: it may have been applied.
        tell(session)


def _tell(error: Any) -> None:
    """Have *error* say that the whole must not be done again."""
    if isinstance(error, Error) and error.retryable:
        error.add_note(DIVIDED)
    # Of the driver's own errors it is said later, unless it is said already.
    error.retryable = False
