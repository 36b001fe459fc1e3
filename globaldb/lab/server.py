"""What every engine's server is to the lab: a process in a folder, at an address."""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from globaldb.lab.errors import LabError
from globaldb.lab.waiting import wait_until

if TYPE_CHECKING:
    import signal
    from pathlib import Path

    from globaldb.lab.link import Address
    from globaldb.lab.space import Space
    from globaldb.lab.spec import NodeSpec

START_LIMIT: Final = 60.0
_STOP_LIMIT: Final = 30.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """How a server reaches the writer when it is a reader."""

    host: str
    port: int
    user: str
    password: str


class Server(ABC):
    """One node's server process and its folder, which holds `log` and `data`.

    *lag* is by how many seconds it is held back; who sets it sees to that.
    """

    def __init__(self, node: NodeSpec, *, folder: Path, address: Address) -> None:
        self.node = node
        self.folder = folder
        self.data = folder / "data"
        self.host, self.port = address
        self.lag = 0.0
        #: The network namespace to start in, where that is not ours.
        self.space: Space | None = None
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.name

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int | None:
        """The process id of the server, or of its first process, while it runs."""
        return self.process.pid if self.process is not None and self.alive else None

    @abstractmethod
    def start(self) -> None:
        """Start the process; `wait_ready` says when it answers."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether the server takes connections."""

    @abstractmethod
    def state(self) -> dict[str, Any] | None:
        """Return `role`, `streaming` and `position`; nothing if it does not answer."""

    def wait_ready(self) -> None:
        """Wait until the server answers; `LabError` quotes its log if it does not."""
        wait_until(
            lambda: not self.alive or self.answers(),
            limit=START_LIMIT,
            what=lambda: f"{self.name} did not start: {self.log_tail()}",
        )
        if not self.alive:
            raise LabError(f"{self.name} did not start: {self.log_tail()}")

    def kill(self) -> None:
        """Kill the server at once, as a power failure would."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def end(self, how: signal.Signals) -> None:
        """Ask the process to end in order, and wait until it has."""
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(_STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise LabError(
                f"{self.name} did not stop within {_STOP_LIMIT:g} s and was killed"
            ) from None

    def log_tail(self) -> str:
        """Return the last lines of the server's log."""
        log = self.folder / "log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return "\n".join(lines[-8:])
