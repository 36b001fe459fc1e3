"""The tables of a statement, told to the session's books where they are kept by table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from globaldb.core.routing import READS
from globaldb.core.statement import Verdict

if TYPE_CHECKING:
    from globaldb.core.tables import Tables
    from globaldb.runtime.port import Work
    from globaldb.runtime.session import Session

_READS: Final = READS | {Verdict.SAME_CONNECTION}


def reads_of(session: Session, work: Work) -> Tables:
    """Return the tables that *work* reads; ``None`` when it may be any, or all count."""
    return None if session.books.tables is None else reads_of_text(session, work.source)


def reads_of_text(session: Session, sql: str | bytes) -> Tables:
    """Return the tables that the text *sql* reads, in the same way."""
    if session.books.tables is None:
        return None
    return session.cluster.knowledge.touched.lookup(sql).reads


def announce(session: Session, link: Any, call: Any) -> None:
    """Announce what *call* is about to touch, unless it only reads at a reader."""
    work = session.work
    if session.books.tables is None or call is None:
        return
    if not link.standby or work is None or work.statement.verdict not in READS:
        touch(session, work)


def touch(session: Session, work: Work | None) -> None:
    """Announce what is about to be touched on the writer, before it is sent there.

    What a read sees there is required of every table from then on, and so is what
    nobody looked at: *work* is ``None``.
    """
    floors = session.books.tables
    if floors is None:
        return
    tables = None if work is None else _touched(session, work)
    floors.touch(tables, afresh=not session.transaction.active)


def _touched(session: Session, work: Work) -> Tables:
    source, knowledge = work.source, session.cluster.knowledge
    if session.temporary and session.temporary.named_in(source):
        temporary = session.temporary.tables
        if temporary is None or session.pinned_whole:
            # It may stand for other tables, or act upon them.
            return None
        found = knowledge.touched_beside(source, temporary)
    else:
        found = knowledge.touched.lookup(source)
    if work.statement.verdict in _READS and found.both:
        return None
    return found.both
