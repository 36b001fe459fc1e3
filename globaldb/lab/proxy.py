"""The proxy process: every link of a lab, told what to do over a pipe.

The plan comes as the first line of standard input, then one command a line; each is
answered by one line of JSON. The process ends when its input does.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from globaldb.errors import Error
from globaldb.lab.child import sharpen_timers
from globaldb.lab.loop import READABLE, Loop
from globaldb.lab.network import Network

if TYPE_CHECKING:
    from collections.abc import Mapping


class Commands:
    """Read commands from a pipe and carry them out between two packets."""

    def __init__(self, loop: Loop, network: Network, descriptor: int) -> None:
        self._loop = loop
        self._network = network
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
            answer(self._carry_out(json.loads(line)))

    def _carry_out(self, command: Mapping[str, Any]) -> dict[str, Any]:
        method = getattr(self._network, command["do"])
        try:
            return {"result": method(*command["with"])}
        except (Error, OSError) as failure:
            return {"error": str(failure)}


def answer(message: Mapping[str, Any]) -> None:
    """Write one line to whoever gives the commands."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Serve until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sharpen_timers()
    plan = json.loads(read_line(0))
    loop = Loop()
    try:
        network = Network(loop, plan)
    except OSError as failure:
        answer({"error": f"a link cannot listen: {failure}"})
        return 1
    Commands(loop, network, 0)
    gc.freeze()
    answer({"result": None})
    loop.run()
    return 0


def read_line(descriptor: int) -> bytes:
    """Read up to the end of a line, and not a byte more."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            break
        line += byte
    return bytes(line)


if __name__ == "__main__":
    sys.exit(main())
