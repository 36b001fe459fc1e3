"""A process that works for the supervisor: its plan, then commands over a pipe."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from globaldb.lab import child
from globaldb.lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Worker:
    """A module of ours that runs in a process of its own and obeys `command`.

    *what* names it in messages. Its plan is sent at once; it says over the same pipe
    when it is ready, see `commands` for its side. It ends with this thread.
    """

    def __init__(
        self, what: str, module: str, *, plan: Mapping[str, Any], log: Path
    ) -> None:
        self._what = what
        self._log = log
        with log.open("ab") as errors:
            self._process = child.start(
                [sys.executable, "-P", "-m", module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self._send(plan)

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._process.pid

    def wait_ready(self) -> Any:
        """Wait until the worker is at work, and return what it says of it."""
        return self._receive()

    def command(self, do: str, *arguments: Any) -> Any:
        """Have the worker do something, and return its answer."""
        self._send({"do": do, "with": arguments})
        return self._receive()

    def stop(self) -> None:
        """End the worker at once."""
        self._process.kill()
        # A command that was never read may be left in the pipe.
        with contextlib.suppress(BrokenPipeError), self._process:
            pass

    def _send(self, message: Any) -> None:
        pipe = self._process.stdin
        if pipe is None:
            raise LabError(f"{self._what} has no pipe")
        try:
            pipe.write(json.dumps(message).encode() + b"\n")
            pipe.flush()
        except OSError as failure:
            raise LabError(f"{self._what} is gone: {failure}") from failure

    def _receive(self) -> Any:
        pipe = self._process.stdout
        line = pipe.readline() if pipe is not None else b""
        if not line:
            raise LabError(f"{self._what} is gone: {self._last_words()}")
        message = json.loads(line)
        if "error" in message:
            raise LabError(message["error"])
        return message["result"]

    def _last_words(self) -> str:
        """Return the last line of the worker's log: what an exception says."""
        with contextlib.suppress(OSError):
            lines = self._log.read_text(errors="replace").split("\n")
            return next((line for line in reversed(lines) if line), "it said nothing")
        return "it left no log"
