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
#: What drivers call an answer that did not come.
_SILENCE: Final = re.compile("time(d )?out")


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
        return f"no answer in {waited:.1f} s"
    return _WHERE.sub("", state.problem)


def no_node(states: Iterable[NodeState], waited: float, *, barred: bool) -> str:
    """Say that no node answers; where all of them are *barred*, that all refuse."""
    states = tuple(states)
    why = told(states, waited)
    if barred:
        return (
            f"no node of the cluster lets this application in: {why}. Look at user, "
            "password, database and the options of TLS"
        )
    advice = ""
    if any(state.problem is None or _SILENCE.search(state.problem) for state in states):
        advice = (
            ". Look at hosts and ports, at the engine, and at what is between here and "
            "there: a firewall, or a way that takes longer than connect_timeout"
        )
    return f"no node of the cluster answers: {why}{advice}"


def no_writer(states: Iterable[NodeState], waited: float) -> str:
    """Say that no node is the writer, and what helps."""
    states = tuple(states)
    advice = "Try again when the failover is over"
    if all(state.reachable and state.role is Role.READER for state in states):
        advice = (
            "All are readers: is the writer among the nodes that were given? Else try "
            "again when the failover is over"
        )
    return (
        f"no writer is known after {waited:.1f} s; nothing was sent. "
        f"{told(states, waited)}. {advice}"
    )
