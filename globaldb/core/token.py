"""What a session has seen, as text for another process: signed, and of limited life.

A text is ``gdb1.CLUSTER.ISSUED.EPOCH.LOG.XIDS.MOMENT.HORIZON.SEAL``, numbers in
hexadecimal, or several such texts with ``~`` between them. LOG is a number, or what
`token_gtid` writes, and ends in ``r`` where a reader told it. The seal begins with a
checksum, so that a damaged text is known as such by anybody, and goes on with the
signature, if there is one, without which anybody can make a text up. In front of a text
that came from a user, and whose signature nobody has checked yet, there is a ``?``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import re
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

from globaldb.core import token_gtid
from globaldb.core.position import LogPosition, Lsn, Position
from globaldb.errors import DataError, TokenError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_VERSION: Final = "gdb1"
_BETWEEN: Final = "~"
_DOUBT: Final = "?"
#: Most texts that one may hold side by side.
_MOST: Final = 8
#: Transaction ids are left out of a longer text that has another form to offer.
_LONGEST: Final = 200
_CHECKSUM: Final = 8
#: Of a transaction: 64 bits.
_LARGEST_ID: Final = 0xFFFF_FFFF_FFFF_FFFF

# No sign, no leading zero, no other alphabet's digits: one text for each number.
_NUMBER: Final = "(?:0|[1-9a-f][0-9a-f]{0,%d})"
_TEXT: Final = re.compile(
    r"gdb1\.(?P<system>[0-9A-Za-z-]{0,36})"
    rf"\.(?P<issued>{_NUMBER % 9})"
    rf"\.(?P<epoch>{_NUMBER % 7})"
    rf"\.(?:(?P<log>{_NUMBER % 15}|{token_gtid.PATTERN})(?P<read>r?))?"
    rf"\.(?P<xids>{_NUMBER % 15}(?:-{_NUMBER % 15}){{0,7}})?"
    rf"\.(?P<moment>{_NUMBER % 15})?"
    rf"\.(?P<horizon>{_NUMBER % 15})?"
    r"\.(?P<seal>[0-9A-Za-z_-]{8}(?:[0-9A-Za-z_-]{43})?)"
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one token tells: the position its session had reached, and where.

    Raises `ValueError` for a position that would not come back as it is: in no form at
    all, or on another timeline than *epoch*.
    """

    #: Identity of the database cluster.
    system: str
    #: The timeline on which the position is.
    epoch: int
    #: What must be visible; None requires nothing.
    position: Position | None
    #: Whole seconds since 1970 on the issuer's clock.
    issued_at: int
    #: Whether a signature was checked.
    trusted: bool = False

    def __post_init__(self) -> None:
        position = self.position
        if position is not None and not told(position):
            raise ValueError("a position in no form at all cannot be told")
        log = None if position is None else position.log
        if log is not None and log.timeline != self.epoch:
            raise ValueError(f"{log} is not on timeline {self.epoch}")

    def merge(self, other: Seen) -> Seen | None:
        """Return what is at or behind both; None if no one token can tell that."""
        if (self.system, self.epoch) != (other.system, other.epoch):
            return None
        mine, theirs = self.position, other.position
        both = mine.merge(theirs) if mine and theirs else mine or theirs
        if both is not None and not told(both):
            return None
        issued_at = max(self.issued_at, other.issued_at)
        return replace(self, position=both, issued_at=issued_at)


def told(position: Position) -> bool:
    """Whether *position* is known in any form that a reader can be asked about."""
    forms = position.log, position.xids, position.moment
    return any(form is not None for form in forms)


class Token(str):
    """A token's text. Pass it on as any text; `merge` makes one of several."""

    __slots__ = ()

    @classmethod
    def of(cls, seen: Seen, secret: str | None) -> Token:
        """Return *seen* as text, signed with *secret* if there is one.

        At most 200 characters whenever there is a log position in it.
        """
        text = _text(seen, secret)
        position = seen.position
        if len(text) > _LONGEST and position is not None and position.log is not None:
            text = _text(replace(seen, position=replace(position, xids=None)), secret)
        return cls(text)

    def merge(self: str, *others: str) -> Token:
        """Return one token that requires what this and all the *others* do.

        Needs no connection and no secret: texts without a signature become one; signed
        ones stand side by side, each under its own signature, until a session observes
        them and issues its own. Raises `TokenError` for a text that is damaged, and for
        more than 8 side by side.
        """
        plain: list[Seen] = []
        signed: dict[str, None] = {}
        for part in [part for text in (self, *others) for part in parts(text)]:
            seen, _, signature = _parse(bare(part))
            if signature or bare(part) != part:
                signed[part] = None
            else:
                _join(plain, seen)
        # What somebody has checked is in doubt no more.
        apart = [
            each for each in signed if bare(each) == each or bare(each) not in signed
        ]
        found = [*(Token.of(seen, None) for seen in plain), *apart]
        if len(found) > _MOST:
            raise TokenError(
                f"{len(found)} tokens are too many to stand side by side (the most "
                f"is {_MOST}); observe them on a connection, and take its token",
                reason="too_many",
            )
        return Token(_BETWEEN.join(found))


def _join(known: list[Seen], seen: Seen) -> None:
    """Merge *seen* into the one of *known* that it can be told together with."""
    for index, one in enumerate(known):
        both = one.merge(seen)
        if both is not None:
            known[index] = both
            return
    known.append(seen)


def read(
    text: str,
    *,
    secrets: Sequence[str],
    system: str,
    now: float,
    max_age: float | None,
    like: LogPosition | None = None,
) -> Seen:
    """Read one of the `parts` of a token.

    *secrets* are the accepted ones, none for no check; *now* (seconds since 1970) and
    *max_age* (seconds) tell whether it has expired. Raises `TokenError` when it is
    damaged, unsigned or forged although there are secrets, in doubt although there are
    none, of another cluster than *system*, of another kind of database than the position
    *like*, or expired.
    """
    seen, body, signature = _parse(bare(text))
    if bare(text) != text and not secrets:
        raise TokenError(
            "the token comes from a user, nobody has checked its signature on its way, "
            "and there is no token_secret to do it with",
            reason="unsigned",
        )
    if secrets:
        _check_signature(body, signature, secrets)
        seen = replace(seen, trusted=True)
    if seen.system != system:
        raise TokenError(
            f"the token is of database cluster {seen.system!r}, not of {system!r}; it "
            "says nothing about this one",
            reason="foreign",
        )
    log = None if seen.position is None else seen.position.log
    if log is not None and like is not None and type(log) is not type(like):
        raise TokenError(
            f"the token is of another kind of database: it tells position {log}, and "
            f"positions here look like {like}",
            reason="foreign",
        )
    age = now - seen.issued_at
    if max_age is not None and age > max_age:
        raise TokenError(
            f"the token was issued {age:.0f} s ago, and tokens are accepted for "
            f"{max_age:g} s (token_max_age); go on without it",
            reason="expired",
        )
    return seen


class Label(NamedTuple):
    """What a token says of itself, which anybody can read and nobody has checked."""

    #: Identity of the database cluster.
    system: str
    signed: bool


def label(part: str) -> Label:
    """Return what one of the `parts` of a token says of itself.

    Raises `TokenError` when it is damaged.
    """
    seen, _, signature = _parse(bare(part))
    return Label(seen.system, bool(signature))


def in_doubt(part: str) -> str:
    """Return one of the `parts` of a token, to be believed only once it was checked."""
    return f"{_DOUBT}{bare(part)}"


def bare(part: str) -> str:
    """Return one of the `parts` of a token without what `in_doubt` put in front."""
    return part.removeprefix(_DOUBT)


def parts(text: str) -> list[str]:
    """Return the texts that stand side by side in *text*; `TokenError` if too many."""
    given: object = text
    if not isinstance(given, str):
        # From a missing cookie, say.
        raise TokenError(
            f"a token is a text, not {type(text).__name__}", reason="damaged"
        )
    found = text.split(_BETWEEN, _MOST)
    if len(found) > _MOST:
        raise TokenError(f"the token holds more than {_MOST} tokens", reason="too_many")
    return found


def _text(seen: Seen, secret: str | None) -> str:
    body = (
        f"{_VERSION}.{seen.system}.{seen.issued_at:x}.{seen.epoch:x}"
        f".{_forms(seen.position)}"
    )
    return f"{body}.{_checksum(body)}{_signature(body, secret) if secret else ''}"


def _forms(position: Position | None) -> str:
    if position is None:
        return "..."
    told = "r" if position.read else ""
    log = "" if position.log is None else f"{_log_text(position.log)}{told}"
    moment = "" if position.moment is None else f"{_micros(position.moment):x}"
    horizon = "" if position.horizon is None else f"{position.horizon:x}"
    return f"{log}.{_deltas(position.xids)}.{moment}.{horizon}"


def _log_text(log: LogPosition) -> str:
    return f"{log.value:x}" if isinstance(log, Lsn) else token_gtid.written(log)


def _micros(moment: float) -> int:
    """Round up: an earlier moment would require too little."""
    return math.ceil(round(moment * 1e6, 3))


def _deltas(xids: Iterable[int] | None) -> str:
    """Write ids as the first and the steps from each to the next; 0 for no ids."""
    if xids is None:
        return ""
    ordered = sorted(xids)
    steps = [after - before for before, after in zip([0, *ordered], ordered)]  # noqa: B905 - one is longer by design
    return "-".join(f"{step:x}" for step in steps) or "0"


def _parse(text: str) -> tuple[Seen, str, str]:
    """Return what *text* says, what of it is signed, and the signature or nothing."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise _not_a_token(text)
    body, seal = text[: found.start("seal") - 1], found["seal"]
    if seal[:_CHECKSUM] != _checksum(body):
        raise _damaged()
    epoch = int(found["epoch"], 16)
    forms = found["log"], found["xids"], found["moment"], found["horizon"]
    position = _position(*forms, epoch)
    if position is not None and found["read"]:
        position = replace(position, read=True)
    seen = Seen(found["system"], epoch, position, int(found["issued"], 16))
    return seen, body, seal[_CHECKSUM:]


def _position(
    log: str | None,
    xids: str | None,
    moment: str | None,
    horizon: str | None,
    epoch: int,
) -> Position | None:
    if log is xids is moment is None:
        if horizon is not None:
            raise _damaged()
        return None
    return Position(
        None if log is None else _log(log, epoch),
        None if xids is None else _ids(xids),
        None if moment is None else int(moment, 16) / 1e6,
        None if horizon is None else int(horizon, 16),
    )


def _log(text: str, epoch: int) -> LogPosition:
    if text[0] not in "gm":
        return Lsn(int(text, 16), epoch)
    try:
        return token_gtid.read(text).on(epoch)
    except DataError:
        raise _damaged() from None


def _ids(text: str) -> frozenset[int]:
    steps = [int(step, 16) for step in text.split("-")]
    if 0 in steps and len(steps) > 1:
        raise _damaged()
    ids = frozenset(accumulate(steps)) - {0}
    if any(each > _LARGEST_ID for each in ids):
        # A server would refuse the question, and not the token.
        raise _damaged()
    return ids


def _check_signature(body: str, signature: str, secrets: Sequence[str]) -> None:
    if not signature:
        raise TokenError(
            "the token is not signed, and token_secret is set: whoever issued it has "
            "no secret, or made it up",
            reason="unsigned",
        )
    # Every secret is tried, so that the time taken tells nothing.
    right = [
        hmac.compare_digest(_signature(body, secret), signature) for secret in secrets
    ]
    if not any(right):
        raise TokenError(
            "the token's signature is wrong: it was made up, changed on its way, or "
            "signed with another token_secret",
            reason="forged",
        )


def _not_a_token(text: str) -> TokenError:
    version = text[:8].partition(".")[0]
    if re.fullmatch(r"gdb[0-9]+", version) and version != _VERSION:
        return TokenError(
            f"the token is of version {version}; this process reads {_VERSION}",
            reason="version",
        )
    return _damaged()


def _damaged() -> TokenError:
    return TokenError(
        "the token is damaged, or not a token at all; go on without it",
        reason="damaged",
    )


def _checksum(body: str) -> str:
    return _base64(hashlib.sha256(body.encode()).digest()[:6])


def _signature(body: str, secret: str) -> str:
    return _base64(hmac.digest(secret.encode(), body.encode(), "sha256"))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
