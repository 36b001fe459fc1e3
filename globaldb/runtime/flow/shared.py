"""One user's sessions in several processes: what one wrote, the others read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from globaldb.core.position import Lsn
from globaldb.core.session import POSITION_UNKNOWN
from globaldb.errors import Error
from globaldb.runtime.flow.capture import capture_at_writer
from globaldb.runtime.flow.token import opened, require, sealed
from globaldb.runtime.session_key import Block, Shared, current_block
from globaldb.runtime.session_store import shareable

if TYPE_CHECKING:
    from globaldb.core.position import Position
    from globaldb.runtime.session import Session

#: The reason code of reads at the writer for want of an answer.
_UNAVAILABLE = "session_store_unavailable"


async def look_up(session: Session, shared: Shared) -> None:
    """Require what others have published for the user that is served now.

    Once for each block, and again when another session of the block has published:
    what was acknowledged before the block began is then in the store.
    """
    block = current_block()
    if block is None or (shared.block is block and shared.written is block.written):
        return
    written = block.written
    store, key = shared.store, _key(session, block)
    kept = await session.shell.ask(lambda: store.look_up(key))
    found = (
        [] if kept.token is None else opened(session.cluster, kept.token, ignore=True)
    )
    for seen in found:
        require(session, seen)
    if not kept.complete or (kept.token is not None and not found):
        session.books.lost_position(_UNAVAILABLE)
    shared.block, shared.written = block, written
    shared.floor = session.books.floor


async def share(session: Session) -> None:
    """Publish what the session's last statement has written, before it is told of it.

    What has no position gets one from the writer first; if it gives none, everybody
    who serves this user asks the writer.
    """
    shared, block = session.shared, current_block()
    if shared is None or block is None or session.transaction.active:
        return
    books = session.books
    if books.position_unknown and books.unknown_because == POSITION_UNKNOWN:
        try:
            await capture_at_writer(session)
        except Error:
            await _forget(session, shared, block)
            return
    if books.floor is not None and books.floor is not shared.floor:
        await publish(session, shared, block, books.floor)


async def publish(
    session: Session, shared: Shared, block: Block, position: Position
) -> None:
    """Let every process that serves the user of *block* require *position*."""
    told = shareable(_in_order(session, position))
    if told is None:
        await _forget(session, shared, block)
        return
    store, key = shared.store, _key(session, block)
    token = sealed(session.cluster, told)
    await session.shell.ask(lambda: store.publish(key, told, token))
    block.written = shared.written = object()
    shared.block, shared.floor = block, position


def _in_order(session: Session, position: Position) -> Position:
    """Return a position that can be put in order with those of other sessions.

    Of a set of transactions what the writer had when it was first heard to have it:
    what a session knows of itself may be any part of that.
    """
    log = position.log
    if log is None or isinstance(log, Lsn):
        return position
    told = session.cluster.heard.first(log)
    whole = None if told is None else told.position
    return replace(position, log=whole)


async def _forget(session: Session, shared: Shared, block: Block) -> None:
    store, key = shared.store, _key(session, block)
    await session.shell.ask(lambda: store.forget(key))
    block.written = object()


def _key(session: Session, block: Block) -> str:
    """Return what the store knows the user by: one for each database cluster."""
    cluster = session.cluster
    # MySQL has no name for a cluster: it is known by the nodes that were configured.
    name = cluster.system or ",".join(sorted(map(str, cluster.config.nodes)))
    return f"{name}\0{block.name}"
