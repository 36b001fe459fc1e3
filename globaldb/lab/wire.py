"""Requests to a lab and their answers: lines of JSON over a local socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from globaldb.lab.errors import LabError, LabNotRunningError, LabSpecError

if TYPE_CHECKING:
    from pathlib import Path

#: Seconds for the longest of requests: a failover with a rewind over the world.
ANSWER_LIMIT: Final = 180.0

Report = Callable[[str], None]


def request(
    path: Path, operation: str, arguments: Mapping[str, Any], report: Report
) -> Any:
    """Ask the supervisor at *path* and return its answer.

    *report* gets what it says of its progress. Raises what the supervisor raised, or
    `LabNotRunningError` if none is there.
    """
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(ANSWER_LIMIT)
        try:
            sock.connect(str(path))
        except OSError as failure:
            raise LabNotRunningError(f"no lab answers at {path}: {failure}") from None
        line = json.dumps({"operation": operation, "arguments": arguments})
        try:
            sock.sendall(line.encode() + b"\n")
            with sock.makefile("rb") as lines:
                for answer in lines:
                    message = json.loads(answer)
                    if "progress" not in message:
                        return unwrap(message)
                    report(message["progress"])
        except OSError as failure:
            raise LabNotRunningError(
                f"the lab at {path} stopped answering: {failure}"
            ) from None
    raise LabNotRunningError(f"the lab at {path} ended while it was asked")


def unwrap(message: Mapping[str, Any]) -> Any:
    """Return the result in *message*, or raise the error in it."""
    if "error" in message:
        kind = LabSpecError if message.get("kind") == "spec" else LabError
        raise kind(message["error"])
    return message["result"]


def wrap_error(error: BaseException) -> dict[str, Any]:
    """Return the message that makes `unwrap` raise *error* at the other end."""
    kind = "spec" if isinstance(error, LabSpecError) else "lab"
    return {"error": str(error) or type(error).__name__, "kind": kind}
