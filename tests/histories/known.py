"""Programs that are likely to break a promise, each by a way of its own."""

from __future__ import annotations

from typing import Final

from histories.program import (
    FAR,
    HOME,
    Append,
    Fault,
    Look,
    Program,
    Script,
    Step,
    Tell,
    Transact,
    Using,
)

_LIST: Final = Look()
_STREAM: Final = Look(stream=True)
_LATE: Final = 0.3
#: The writer's neighbour, who has written before anybody looks.
_AUTHOR: Final = Script(HOME, "session", (Append("insert"),) * 4)
_WRITTEN: Final = (0,) * 4


def _look(region: str, mode: str | None = None, look: Look = _LIST) -> Using:
    return Using((look,), region=region, mode=mode)


def _after(region: str, *steps: Step, faults: tuple[Fault, ...] = ()) -> Program:
    """Steps of a session in *region* after the author's writes; FAR comes late.

    The faults come after its second operation.
    """
    turns = (*_WRITTEN, 1, 1, *[2] * len(faults), *[1] * 20)
    scripts = (_AUTHOR, Script(region, "session", steps))
    return Program(scripts, faults, turns, (_LATE, 0.0))


def _cut(region: str, to: str) -> tuple[Fault, ...]:
    return (Fault("cut", region, other=to),)


KNOWN: Final = {
    "an eventual read elsewhere does not make a session forget": _after(
        HOME, _LIST, _look(FAR, "eventual"), _look(FAR)
    ),
    "rows streamed from a reader count as read": _after(HOME, _STREAM, _look(FAR)),
    "rows streamed from the writer count as read": _after(
        FAR, _look(FAR, "global", _STREAM), _LIST
    ),
    "a transaction lost on the writer has read": _after(
        FAR, Transact((_LIST, _LIST)), _LIST, faults=_cut(FAR, HOME)
    ),
    "a transaction lost on a reader has read": _after(
        HOME,
        Transact((_LIST, _LIST), read_only=True),
        _look(FAR),
        faults=(Fault("cut", HOME, other=HOME, node=1),),
    ),
    "a pinned connection forwards no write when that is off": _after(
        FAR,
        Transact((Append("insert"),), style="script"),
        Using((Append("insert"), Append("many")), mode="off"),
    ),
    "a write of unknown outcome is looked for on the writer": Program(
        (Script(FAR, "session", (_LIST, _LIST, Append("insert"), _LIST)),),
        _cut(FAR, HOME),
        (0, 0, 1, 0, 0, 0),
        (_LATE, 0.0),
    ),
    "reads after a token are accounted for": Program(
        (
            Script(HOME, "session", (Append("insert"),) * 4),
            Script(HOME, "session", (_LIST, Tell(), *[_LIST] * 6, _look(FAR))),
        ),
        (Fault("pause", FAR, node=0), Fault("pause", FAR, node=1)),
        (1, 1, 2, 2, 0, 0, 1, 1, 0, 1, 1, 0, *[1] * 6),
    ),
}
