"""What can be done to a running lab, by name: the supervisor's side of every request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from globaldb.lab import promotion, state
from globaldb.lab.errors import LabSpecError
from globaldb.lab.network import REPLY, REQUEST, client_link
from globaldb.lab.spec import LabSpec, check_region, check_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from globaldb.lab.cluster import Cluster, Report
    from globaldb.lab.ways import Ways

#: A reader may be held back for an hour, no more: replay must end some day.
_MAX_LAG: Final = 3600.0


class Operations:
    """A lab's servers and links, and everything that may be asked of them."""

    def __init__(self, spec: LabSpec, cluster: Cluster[Any], ways: Ways) -> None:
        self._spec = spec
        self._cluster = cluster
        self._ways = ways
        self._links = ways.links
        self._table: Mapping[str, Callable[..., Any]] = {
            "aws": self._aws,
            "claim": self._claim,
            "counters": self._counters,
            "cut": self._cut,
            "dns_fault": self._dns_fault,
            "dns_lag": self._dns_lag,
            "failover": self._failover,
            "freeze": self._freeze,
            "heal": self._heal,
            "kill": self._kill,
            "lag": self._lag,
            "latency": self._latency,
            "partition": self._partition,
            "refuse": self._refuse,
            "reset_counters": self._reset_counters,
            "restore": self._restore,
            "rotate_password": self._rotate_password,
            "start": self._start,
            "status": self._status,
            "switchover": self._switchover,
            "thaw": self._thaw,
        }

    def carry_out(
        self, operation: str, arguments: Mapping[str, Any], report: Report
    ) -> Any:
        """Do *operation* and return its result as JSON can hold it."""
        if operation not in self._table:
            raise LabSpecError(f"a lab cannot {operation!r}")
        return self._table[operation](report, **arguments)

    def _status(self, _report: Report) -> dict[str, Any]:
        network = self._links.command("state")
        names = self._ways.names.state()
        return {"nodes": self._cluster.status(), **network, **names}

    def _claim(self, _report: Report, node: str | None) -> None:
        surface = self._cluster.surface
        if surface is None:
            raise LabSpecError("this lab has no Aurora: use lab up --aurora")
        name = None if node is None else self._cluster.server(node).name
        surface.claim(self._cluster.writer, name)

    def _counters(self, _report: Report) -> Any:
        return self._links.command("counters")

    def _reset_counters(self, _report: Report) -> None:
        self._links.command("reset_counters")

    def _lag(self, _report: Report, region: str, seconds: float) -> None:
        check_region(region, self._spec.regions)
        check_seconds("lag", seconds, most=_MAX_LAG)
        self._cluster.lag(region, seconds)

    def _latency(self, _report: Report, a: str, b: str, seconds: float) -> None:
        self._check_pair(a, b)
        check_seconds(f"round trip {a}/{b}", seconds)
        self._links.command("latency", a, b, seconds)

    def _partition(self, _report: Report, a: str, b: str) -> None:
        self._check_pair(a, b)
        self._links.command("partition", a, b)

    def _heal(self, _report: Report) -> None:
        self._links.command("heal")
        self._ways.names.heal()

    def _dns_fault(
        self, _report: Report, kind: str, region: str | None, seconds: float
    ) -> None:
        self._ways.names.fail(kind, region, seconds)

    def _dns_lag(self, _report: Report, seconds: float) -> None:
        self._ways.names.lag(seconds)

    def _aws(self, _report: Report) -> dict[str, str]:
        return self._ways.cloud.serve(self._cluster.passwords.app)

    def _rotate_password(self, _report: Report) -> str:
        word = self._cluster.rotate_password()
        state.remember(self._cluster.folder, ("passwords", "app"), word)
        self._ways.cloud.set_password(word)
        return word

    def _restore(self, report: Report) -> None:
        """Undo everything: faults, latencies, lag and dead nodes."""
        self._heal(report)
        self._links.lay_out()
        self._ways.names.lag(0.0)
        # The writer first: the others may need it to come back.
        for server in (self._cluster.writer, *self._cluster.readers):
            if server.lag:
                self._cluster.lag(server.node.region, 0.0)
            if not server.alive:
                self._start(report, server.name)
        if self._cluster.surface is not None:
            self._cluster.surface.claim(self._cluster.writer, None)
        self._cluster.wait_following(report, without=self._links.severed())

    def _freeze(self, _report: Report, region: str, node: str) -> None:
        self._links.command("freeze", self._link(region, node))

    def _thaw(self, _report: Report, region: str, node: str) -> None:
        self._links.command("thaw", self._link(region, node))

    def _refuse(self, _report: Report, region: str, node: str) -> None:
        self._links.command("refuse", self._link(region, node))

    def _cut(
        self, _report: Report, region: str, node: str, when: str, containing: str
    ) -> None:
        if when not in {REPLY, REQUEST}:
            raise LabSpecError(f"cut when={when!r}: use {REPLY!r} or {REQUEST!r}")
        self._links.command("cut", self._link(region, node), when, containing)

    def _kill(self, _report: Report, node: str) -> None:
        server = self._cluster.server(node)
        server.kill()
        self._ways.set_down(server, down=True)

    def _start(self, _report: Report, node: str) -> None:
        server = self._cluster.server(node)
        if not server.alive:
            promotion.restart(self._cluster, server)

    def _switchover(self, report: Report, place: str) -> str:
        return promotion.switch_over(self._cluster, self._place(place), report)

    def _failover(self, report: Report, place: str) -> str:
        return promotion.fail_over(self._cluster, self._place(place), report)

    def _place(self, place: str) -> str:
        if place in self._cluster.servers:
            return place
        return check_region(place, self._spec.regions)

    def _link(self, region: str, node: str) -> str:
        check_region(region, self._spec.regions)
        return client_link(region, self._cluster.server(node).name)

    def _check_pair(self, a: str, b: str) -> None:
        check_region(a, self._spec.regions)
        check_region(b, self._spec.regions)
