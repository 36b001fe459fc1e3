"""A worker's side of its pipe: the plan as the first line, then one command a line.

Each is answered by one line of JSON. The process ends when its input does.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from globaldb.errors import Error
from globaldb.lab.loop import READABLE, Loop

if TYPE_CHECKING:
    from collections.abc import Mapping


class Commands:
    """Read commands from a pipe and have *target* carry them out, between two events.

    A command names a method of *target*.
    """

    def __init__(self, loop: Loop, target: object, descriptor: int) -> None:
        self._loop = loop
        self._target = target
        self._descriptor = descriptor
        self._pending = b""
        os.set_blocking(descriptor, False)
        loop.watch(descriptor, READABLE, self._on_input)

    def _on_input(self, _events: int) -> None:
        data = os.read(self._descriptor, 1 << 16)
        if not data:
            self._loop.stop()
            return
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            answer(carry_out(self._target, json.loads(line)))


def carry_out(target: object, command: Mapping[str, Any]) -> dict[str, Any]:
    """Do what *command* says and return the message that tells how it went."""
    method = getattr(target, command["do"])
    try:
        return {"result": method(*command["with"])}
    except (Error, OSError) as failure:
        return {"error": str(failure)}


def answer(message: Mapping[str, Any]) -> None:
    """Write one line to whoever gives the commands."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def read_plan() -> dict[str, Any]:
    """Read the first line of standard input, and not a byte more."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            break
        line += byte
    plan: dict[str, Any] = json.loads(bytes(line))
    return plan
