"""Why nobody serves, in words: nodes that fail in the same way are told together."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from globaldb.core.topology import Role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from globaldb.core.topology import NodeState

#: What libpq puts in front of a server's answer: the node's name says as much.
_WHERE: Final = re.compile(
    r"connection failed: connection to server (?:at|on) .+? failed: (?=\S)"
)
#: How PyMySQL's errors read.
_NUMBERED: Final = re.compile(r"\((\d+), (['\"])(.+)\2\)")
#: Seconds that are not worth telling: others have waited before.
_SHORT: Final = 0.1
#: What to look at, by what was said; the first that fits.
_ADVICE: Final = (
    (
        re.compile("certificate verify", re.IGNORECASE),
        "Name who signed it: rds_ca= for Amazon RDS, else sslrootcert= or ssl_ca=",
    ),
    (
        re.compile("match host name|hostname mismatch", re.IGNORECASE),
        "Connect by a name that is in the certificate",
    ),
    (
        re.compile("support SSL|SSL is required"),
        "What is asked of a server say sslmode= and, for MySQL, ssl_mode=",
    ),
    (
        re.compile("time(d )?out|no answer"),
        "Right host, port and engine? A firewall? A way longer than connect_timeout?",
    ),
)


def told(states: Iterable[NodeState], waited: float) -> str:
    """Say how each node is, ``a, b: why; c: reader``, after *waited* seconds."""
    groups: dict[str, list[str]] = {}
    for state in states:
        groups.setdefault(_told(state, waited), []).append(state.name)
    return "; ".join(f"{', '.join(names)}: {why}" for why, names in groups.items())


def _told(state: NodeState, waited: float) -> str:
    if state.reachable:
        return state.role.value
    if state.problem is None:
        return "no answer yet" if waited < _SHORT else f"no answer in {waited:.1f} s"
    numbered = _NUMBERED.fullmatch(state.problem)
    if numbered is not None:
        number, _, text = numbered.groups()
        return f"{text} ({number})".replace("\\'", "'")
    return _WHERE.sub("", state.problem)


def no_node(states: Iterable[NodeState], waited: float, *, barred: bool) -> str:
    """Say that no node answers; where all of them are *barred*, that all refuse."""
    why = told(states, waited)
    what = "lets this application in" if barred else "answers"
    advice = next((text for said, text in _ADVICE if said.search(why)), "")
    if barred and not advice:
        advice = "Look at user, password and database"
    return f"no node of the cluster {what}: {why}{'. ' * bool(advice)}{advice}"


def no_writer(states: Iterable[NodeState], waited: float) -> str:
    """Say that no node is the writer, and what helps."""
    states = tuple(states)
    advice = "Try again when the failover is over"
    if all(state.reachable and state.role is Role.READER for state in states):
        advice = (
            "All are readers: is the writer among the nodes that were given? Else try "
            "again when the failover is over"
        )
    after = "" if waited < _SHORT else f" after {waited:.1f} s"
    why = told(states, waited)
    return f"no writer is known{after}; nothing was sent. {why}. {advice}"
