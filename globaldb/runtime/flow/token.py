"""Tokens: a session's position issued for another process, and one observed here."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from globaldb.core.position import Lsn
from globaldb.core.session import OLDER_TIMELINE
from globaldb.core.token import Seen, Token, parts, read, told
from globaldb.errors import NotSupportedError, TokenError
from globaldb.runtime import events
from globaldb.runtime.flow.capture import capture_at_writer, current_position

if TYPE_CHECKING:
    from globaldb.config import Config
    from globaldb.core.position import LogPosition, Position
    from globaldb.runtime.cluster import ClusterRuntime
    from globaldb.runtime.session import Session


async def issue(session: Session) -> Token:
    """Return everything the session has written or read so far as a token.

    Raises `NotSupportedError` where the writer tells no position in any form.
    """
    position = await current_position(session)
    if position is not None and not told(position):
        # In no form that the writer gave could it be told to others.
        await capture_at_writer(session)
        position = session.books.floor
    if position is not None and not told(position):
        raise NotSupportedError(
            "the writer tells no position, neither in its log nor by a transaction or "
            "its clock, so no other process can be told what to wait for. SHOW GLOBALDB "
            "NODES shows what each node can tell"
        )
    return sealed(session.cluster, position)


def sealed(cluster: ClusterRuntime, position: Position | None) -> Token:
    """Return *position* as a token of *cluster*, signed if it has a secret."""
    secret = cluster.config.token_secret
    seen = seen_of(cluster, position)
    return Token.of(seen, None if secret is None else secret.reveal())


def seen_of(cluster: ClusterRuntime, position: Position | None) -> Seen:
    """Return what a token of *cluster* tells of *position*, to be told to others."""
    log = None if position is None else position.log
    if position is not None and log is not None and not isinstance(log, Lsn):
        # Reigns are counted by each process for itself.
        log = log.on(0)
        position = replace(position, log=log)
    epoch = cluster.topology.epoch if log is None else log.timeline
    return Seen(cluster.system, epoch, position, int(_now()))


def comparable(cluster: ClusterRuntime, seen: Seen) -> bool:
    """Whether *seen* tells of the database of *cluster*, as far as can be known."""
    log, like = None if seen.position is None else seen.position.log, _like(cluster)
    same_form = log is None or like is None or type(log) is type(like)
    return seen.system == cluster.system and same_form


def observe(session: Session, text: str, *, ignore: bool) -> None:
    """Require from now on what the token *text* tells.

    Raises `TokenError` for one that cannot be used, unless *ignore*. When what it tells
    of was lost in a failover, the session's next statement says so.
    """
    for seen in opened(session.cluster, text, ignore=ignore):
        require(session, seen)


def opened(cluster: ClusterRuntime, text: str, *, ignore: bool) -> list[Seen]:
    """Return what the token *text* tells, without those parts that say nothing here.

    Raises `TokenError` for a part that cannot be used, unless *ignore*.
    """
    found = []
    try:
        for part in parts(text):
            try:
                found.append(_read(cluster, part))
            except TokenError as error:
                if not ignore:
                    raise
                events.token_ignored(error)
    except TokenError as error:
        if not ignore:
            raise
        events.token_ignored(error)
    return found


def _read(cluster: ClusterRuntime, part: str) -> Seen:
    config = cluster.config
    try:
        return read(
            part,
            secrets=_secrets(config),
            system=cluster.system,
            like=_like(cluster),
            now=_now(),
            max_age=config.token_max_age,
        )
    except TokenError as error:
        # The frames below hold the keys, and so would whatever shows them.
        raise error.with_traceback(None) from error.__cause__


def _like(cluster: ClusterRuntime) -> LogPosition | None:
    """Return a position of *cluster* for its form."""
    states = cluster.topology.nodes.values()
    return next((state.position for state in states if state.position), None)


def require(session: Session, seen: Seen) -> None:
    """From now on read nothing older than what a token told."""
    position, cluster = seen.position, session.cluster
    if position is None:
        return
    if seen.trusted:
        # Only a signed token may depose the writer that is believed in.
        cluster.learn(seen.epoch)
    epoch = cluster.topology.epoch
    if position.log is not None and not isinstance(position.log, Lsn):
        # It can be compared whoever reigns.
        position = replace(position, log=position.log.on(epoch))
    if position.log is None and seen.epoch < epoch:
        # What became of it in a promotion only a log position could tell.
        session.books.lost_position(OLDER_TIMELINE)
    if epoch and seen.epoch == epoch:
        position = replace(position, reign=cluster.reign)
    session.books.require(position)
    session.hot = None


def _secrets(config: Config) -> list[str]:
    given = (config.token_secret, config.token_secret_previous)
    return [secret.reveal() for secret in given if secret is not None]


def _now() -> float:
    # A moment of the calendar, not a duration: other machines compare it.
    return datetime.now(UTC).timestamp()
