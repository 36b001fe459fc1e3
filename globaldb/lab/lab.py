"""A lab as tests, benchmarks and the command line hold it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from globaldb.lab import state, wire
from globaldb.lab.cloud import LabAws
from globaldb.lab.counters import LinkCounters, read_counters
from globaldb.lab.errors import LabError, LabNotRunningError
from globaldb.lab.places import LabNode, Places
from globaldb.lab.spec import LabSpec, listed
from globaldb.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

#: Seconds until the supervisor must be gone after it was told to go.
_END_LIMIT: Final = 20.0


class Lab(Places):
    """A running lab; use `start` for one of your own, `attach` for one that runs.

    Used as a context manager, a lab that was started ends with the block; an attached
    one goes on.
    """

    def __init__(
        self,
        folder: Path,
        facts: Mapping[str, Any],
        supervisor: subprocess.Popen[bytes] | None = None,
    ) -> None:
        super().__init__(folder, facts)
        self._supervisor = supervisor

    @classmethod
    def start(
        cls,
        spec: LabSpec | None = None,
        *,
        background: bool = False,
        report: Callable[[str], None] = lambda _text: None,
    ) -> Self:
        """Start a lab and return it once every reader streams.

        It ends with this process, however that ends, unless it is a *background* lab,
        which ends with `down`. *report* gets words about the progress.
        """
        spec = spec or LabSpec()
        name = spec.name or f"lab-{secrets.token_hex(3)}"
        command = [sys.executable, "-P", "-m", "globaldb.lab.supervisor", name]
        if not background:
            command += ["--owner", str(os.getpid())]
        home = state.labs_home()
        with (home / ".supervisor.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                env=_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        try:
            _await_ready(process, spec, report)
        except BaseException:
            process.terminate()
            process.wait(_END_LIMIT)
            raise
        if background:
            # It has left a child that is nobody's, and ended.
            process.wait(_END_LIMIT)
            return cls._open(home / name)
        return cls._open(home / name, process)

    @classmethod
    def attach(cls, name: str | None = None) -> Self:
        """Return the running lab called *name*, or the one that is meant without."""
        home = state.labs_home()
        running = state.running_labs(home)
        if name is None:
            name = state.DEFAULT_NAME
            if name not in running and len(running) == 1:
                name = running[0]
        if name not in running:
            raise LabNotRunningError(
                f"no lab called {name!r} is running (running: {listed(running)}); "
                "start one with: globaldb lab up"
            )
        return cls._open(home / name)

    @classmethod
    def _open(
        cls, folder: Path, supervisor: subprocess.Popen[bytes] | None = None
    ) -> Self:
        try:
            facts = json.loads((folder / state.FACTS).read_text())
        except FileNotFoundError:
            raise LabNotRunningError(f"lab {folder.name!r} is not up yet") from None
        return cls(folder, facts, supervisor)

    def aws(self) -> LabAws:
        """Serve AWS's API of this lab, to its end, and return where that is.

        RDS describes the lab as a global database; Secrets Manager has a secret with
        the login of applications. Needs the extra `lab-aws`.
        """
        return LabAws(**self._ask("aws"))

    def rotate_password(self) -> str:
        """Give applications a new password, in the database, and in AWS's secret.

        Connections that are open live on. Who has taken hold of this lab by `attach`
        has to do so again.
        """
        self._passwords["app"] = word = str(self._ask("rotate_password"))
        return word

    def writer(self) -> LabNode:
        """Return the node that says now that it is the writer."""
        roles = {each["name"]: each["role"] for each in self.status()["nodes"]}
        for node in self.nodes:
            if roles[node.name] == "writer":
                return node
        raise LabError(f"no node is the writer now: {roles}")

    def status(self) -> dict[str, Any]:
        """Return every node's state, the latencies and the faults, as JSON has them."""
        status: dict[str, Any] = self._ask("status")
        return {"name": self.name, **status, "dns": dict(self._names)}

    def counters(self) -> list[LinkCounters]:
        """Return what passed over each link since the last reset."""
        return read_counters(self._ask("counters"))

    def reset_counters(self) -> None:
        """Count from nothing again; connections that are open go on."""
        self._ask("reset_counters")

    def lag(self, region: str, seconds: float) -> None:
        """Have the readers in *region* replay each commit *seconds* late."""
        self._ask("lag", region=region, seconds=seconds)

    def latency(self, a: str, b: str, seconds: float) -> None:
        """Make the round trip between two regions last *seconds* from now on."""
        self._ask("latency", a=a, b=b, seconds=seconds)

    def partition(self, a: str, b: str) -> None:
        """Hold everything that is sent between two regions until `heal`."""
        self._ask("partition", a=a, b=b)

    def heal(self) -> None:
        """Undo partitions and every fault of a link or of DNS."""
        self._ask("heal")

    def restore(self) -> None:
        """Heal, undo lag and latencies, start dead nodes; return when all follow."""
        self._ask("restore")

    def dns_fault(
        self,
        kind: Literal["drop", "servfail", "nxdomain", "delay", "stale"],
        region: str | None = None,
        *,
        seconds: float = 1.0,
    ) -> None:
        """Have DNS fail in *region*, or everywhere, until `heal`.

        "drop": no answer. "servfail", "nxdomain": that answer to every question.
        "delay": answers *seconds* late. "stale": answers that stay what they are now.
        """
        self._ask("dns_fault", kind=kind, region=region, seconds=seconds)

    def dns_lag(self, seconds: float) -> None:
        """Have a promotion or a dead node show in DNS *seconds* later from now on."""
        self._ask("dns_lag", seconds=seconds)

    def kill(self, node: str) -> None:
        """Kill a server as a power failure would; connects to it are refused."""
        self._ask("kill", node=node)

    def start_node(self, node: str) -> None:
        """Start a server again, as a reader of whoever is the writer now."""
        self._ask("start", node=node)

    def cut(
        self,
        region: str,
        node: str,
        when: Literal["reply", "request"] = "reply",
        *,
        containing: str = "",
    ) -> None:
        """Break the connection of the next request from *region* to *node*.

        "reply": the request arrives and its answer is lost. "request": it never
        arrives. Only a request that has *containing* in it counts, so that others on
        the same link do not get in the way.
        """
        self._ask("cut", region=region, node=node, when=when, containing=containing)

    def freeze(self, region: str, node: str) -> None:
        """Hold everything on one link, as if the server hung, until `thaw`."""
        self._ask("freeze", region=region, node=node)

    def thaw(self, region: str, node: str) -> None:
        """Let a frozen link go on."""
        self._ask("thaw", region=region, node=node)

    def refuse(self, region: str, node: str) -> None:
        """Refuse connects on one link until `heal`; open connections live on."""
        self._ask("refuse", region=region, node=node)

    def switchover(
        self, place: str, *, report: Callable[[str], None] = lambda _text: None
    ) -> str:
        """Move the writer to a region, losing nothing; return the new writer."""
        return str(self._ask("switchover", report=report, place=place))

    def failover(
        self, place: str, *, report: Callable[[str], None] = lambda _text: None
    ) -> str:
        """Kill the writer and promote in a region; return the new writer.

        What the new writer had not received is lost.
        """
        return str(self._ask("failover", report=report, place=place))

    def claim(self, node: str | None) -> None:
        """Have Aurora's views name *node* as a writer too; None: the writer alone.

        So it is seen for a while after a failover. Needs a lab that has `aurora`.
        """
        self._ask("claim", node=node)

    def down(self) -> None:
        """End the lab and remove its files. Ending an ended lab does nothing."""
        with contextlib.suppress(LabNotRunningError):
            self._ask("down")

        def ended() -> bool:
            # A supervisor that was killed leaves the removal to us.
            state.sweep(self._folder.parent)
            return not self._folder.exists()

        wait_until(
            ended,
            limit=_END_LIMIT,
            what=f"the lab in {self._folder} does not end",
        )
        if self._supervisor is not None:
            self._supervisor.wait(_END_LIMIT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._supervisor is not None:
            self.down()

    def __repr__(self) -> str:
        return f"<Lab {self.name!r}: {listed(node.name for node in self.nodes)}>"

    def _ask(
        self,
        operation: str,
        *,
        report: Callable[[str], None] = lambda _text: None,
        **arguments: Any,
    ) -> Any:
        path = self._folder / state.CONTROL
        return wire.request(path, operation, arguments, report)


def _environment() -> dict[str, str]:
    """Return our environment without what libpq would take as options of its own."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PG")}


def _await_ready(
    process: subprocess.Popen[bytes], spec: LabSpec, report: Callable[[str], None]
) -> None:
    """Give a new supervisor its plan, and read its words until it is ready."""
    if process.stdin is None or process.stdout is None:
        raise LabError("the supervisor has no pipes")
    with process.stdin as plan, process.stdout as words:
        plan.write(json.dumps(spec.to_json()).encode() + b"\n")
        plan.flush()
        for line in words:
            message = json.loads(line)
            if "progress" not in message:
                wire.unwrap(message)
                return
            report(message["progress"])
    raise LabError(
        f"the lab's supervisor ended with {process.wait(_END_LIMIT)}; "
        f"see {state.labs_home() / '.supervisor.log'}"
    )
