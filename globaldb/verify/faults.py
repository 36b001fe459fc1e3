"""What is done to a lab while sessions use it: one fault after the other, at random."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING, Final, Self

from globaldb.errors import ConfigurationError
from globaldb.lab import LabError
from globaldb.verify.history import Disturbance

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from random import Random
    from types import TracebackType

    from globaldb.lab import Lab

#: Every fault that loses nothing, and the one that may.
HARMLESS: Final = (
    "lag",
    "latency",
    "partition",
    "kill",
    "freeze",
    "cut",
    "switchover",
)
FAILOVER: Final = "failover"
#: Seconds between two faults, and that one lasts, at least and at most.
_REST: Final = (0.2, 1.0)
_LASTING: Final = (0.4, 1.6)
#: Seconds that a reader is behind while it lags, and an ocean wider than it was.
_LAG: Final = (0.01, 0.6)
_LATENCY: Final = (0.05, 0.3)
#: The request that is cut, or whose answer is: any, or one of these.
_REQUESTS: Final = ("", "UPDATE", "INSERT", "COMMIT", "SELECT")


def check_faults(names: Iterable[str]) -> tuple[str, ...]:
    """Return *names* if there are such faults, or raise `ConfigurationError`."""
    known = (*HARMLESS, FAILOVER)
    wanted = tuple(names)
    for name in wanted:
        if name not in known:
            raise ConfigurationError(f"no fault {name!r}; there are {', '.join(known)}")
    return wanted


class Breaker:
    """Breaks *lab* in a thread while its block runs, and leaves it whole."""

    def __init__(self, lab: Lab, faults: Sequence[str], random: Random) -> None:
        self._lab = lab
        self._random = random
        self._faults = faults
        self._happened: list[Disturbance] = []
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._break, daemon=True)
        self._actions = {
            "lag": self._lag,
            "latency": self._latency,
            "partition": self._partition,
            "kill": self._kill,
            "freeze": self._freeze,
            "cut": self._cut,
            "switchover": self._switchover,
            "failover": self._failover,
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._lab.restore()
        if self._failure is not None and error is None:
            raise self._failure

    @property
    def happened(self) -> tuple[Disturbance, ...]:
        """What was done so far."""
        return tuple(self._happened)

    def _break(self) -> None:
        try:
            while not self._stop.is_set():
                # Each once before any comes again.
                for name in self._random.sample(self._faults, len(self._faults)):
                    if self._stop.wait(self._random.uniform(*_REST)):
                        return
                    self._do(name)
        except BaseException as failure:  # noqa: BLE001 - raised again at the end
            self._failure = failure

    def _do(self, name: str) -> None:
        began = monotonic()
        try:
            what = self._actions[name]()
        except LabError as problem:
            # A promotion needs readers that follow; the next one may find them.
            what = f"{name} was not possible: {problem}"
            self._lab.restore()
        self._happened.append(
            Disturbance(began, monotonic(), what, loses=name == FAILOVER)
        )

    def _last(self) -> None:
        self._stop.wait(self._random.uniform(*_LASTING))

    def _region(self) -> str:
        return self._random.choice(list(self._lab.spec.regions))

    def _pair(self) -> tuple[str, str]:
        a, b = self._random.sample(list(self._lab.spec.regions), 2)
        return a, b

    def _node(self) -> str:
        return self._random.choice(self._lab.nodes).name

    def _reader(self, *, away: bool = False) -> str:
        """Return a reader, on request one of another region than the writer's."""
        writer = self._lab.writer()
        return self._random.choice(
            [
                node.name
                for node in self._lab.nodes
                if node != writer and not (away and node.region == writer.region)
            ]
        )

    def _lag(self) -> str:
        region, seconds = self._region(), self._random.uniform(*_LAG)
        self._lab.lag(region, seconds)
        self._last()
        self._lab.lag(region, 0.0)
        return f"lag {region} {seconds:.3f} s"

    def _latency(self) -> str:
        (a, b), seconds = self._pair(), self._random.uniform(*_LATENCY)
        self._lab.latency(a, b, seconds)
        self._last()
        self._lab.latency(a, b, self._lab.spec.round_trip(a, b))
        return f"latency {a} {b} {seconds:.3f} s"

    def _partition(self) -> str:
        a, b = self._pair()
        self._lab.partition(a, b)
        self._last()
        self._lab.heal()
        return f"partition {a} {b}"

    def _kill(self) -> str:
        name = self._reader()
        self._lab.kill(name)
        self._last()
        self._lab.start_node(name)
        return f"kill and start {name}"

    def _freeze(self) -> str:
        region, name = self._region(), self._node()
        self._lab.freeze(region, name)
        self._last()
        self._lab.thaw(region, name)
        return f"freeze {region} to {name}"

    def _cut(self) -> str:
        region, name = self._region(), self._node()
        containing = self._random.choice(_REQUESTS)
        if self._random.random() < 0.7:
            name = self._lab.writer().name
        if self._random.random() < 0.5:
            self._lab.cut(region, name, "reply", containing=containing)
            return f"lose a reply from {name} to {region}"
        self._lab.cut(region, name, "request", containing=containing)
        return f"lose a request from {region} to {name}"

    def _switchover(self) -> str:
        return f"switchover to {self._lab.switchover(self._reader(away=True))}"

    def _failover(self) -> str:
        return f"failover to {self._lab.failover(self._reader(away=True))}"
