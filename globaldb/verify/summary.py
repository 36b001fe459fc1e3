"""What a run comes to: numbers, and the violations with their smallest context."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from globaldb.verify.history import Kind, Operation, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from globaldb.verify.findings import Findings, Violation
    from globaldb.verify.history import Disturbance, History

#: How many violations are shown to a person, and to a program.
_SHOWN: Final = 5
_LISTED: Final = 100


@dataclass(frozen=True, slots=True)
class Waits:
    """Reads that waited for a reader: how many, all their seconds, the longest."""

    count: int
    seconds: float
    longest: float


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in numbers. *operations* were answered, *errors* by kind were not."""

    operations: int
    sessions: int
    reads: int
    #: Reads that a reader in the session's own region has served.
    local: int
    #: Reads that no reader served.
    at_writer: int
    waits: Waits
    errors: Mapping[str, int]
    violations: Sequence[Violation]
    lost: Sequence[Violation]
    disturbances: Sequence[Disturbance]
    #: When it began, in monotonic seconds.
    began: float

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it; of many violations the first hundred."""
        return {
            "operations": self.operations,
            "sessions": self.sessions,
            "reads": self.reads,
            "local_reads": self.local,
            "writer_reads": self.at_writer,
            "waits": {
                "count": self.waits.count,
                "seconds": round(self.waits.seconds, 3),
                "longest": round(self.waits.longest, 3),
            },
            "errors": dict(self.errors),
            "violations": len(self.violations),
            "broken": _promises(self.violations),
            "examples": [self._example(each) for each in self.violations[:_LISTED]],
            "lost_in_failover": _promises(self.lost),
            "faults": [
                {"at": round(each.began - self.began, 3), "what": each.what}
                for each in self.disturbances
            ],
        }

    def lines(self) -> Iterator[str]:
        """Yield the lines that a person reads."""
        yield f"operations  {self.operations:,} in {self.sessions} sessions"
        share = self.local / self.reads if self.reads else 0.0
        yield (
            f"reads       {self.reads:,}, of which {share:.1%} by a reader in the "
            f"session's region and {self.at_writer:,} at the writer"
        )
        if self.waits.count:
            yield (
                f"waits       {self.waits.count:,} reads waited for a reader, "
                f"{self.waits.seconds / self.waits.count * 1000:.1f} ms on average, "
                f"{self.waits.longest * 1000:.1f} ms at most"
            )
        for kind, number in self.errors.items():
            yield f"error       {number:,} x {kind}"
        if self.disturbances:
            words = Counter(each.what.split()[0] for each in self.disturbances)
            told = ", ".join(f"{number} {word}" for word, number in words.items())
            yield f"faults      {told}"
        for promise, number in _promises(self.lost).items():
            yield f"lost in failover: {number:,} x {promise}"
        yield f"violations  {len(self.violations):,}"
        for promise, number in _promises(self.violations).items():
            yield f"            {number:,} x {promise}"
        for violation in self.violations[:_SHOWN]:
            yield from self._told(violation)

    def _told(self, violation: Violation) -> Iterator[str]:
        yield f"\n{violation.promise.value}: broken"
        yield f"  {violation.what}"
        for operation in violation.operations:
            yield f"  {operation.began - self.began:10.4f} s  {_words(operation)}"

    def _example(self, violation: Violation) -> dict[str, Any]:
        return {
            "promise": violation.promise.value,
            "what": violation.what,
            "operations": [
                {
                    "session": each.session,
                    "region": each.region,
                    "kind": each.kind.value,
                    "began": round(each.began - self.began, 6),
                    "ended": round(each.ended - self.began, 6),
                    "mode": each.mode,
                    "key": each.key,
                    "version": each.version,
                    "value": each.value,
                    "outcome": each.outcome.value,
                    "transaction": each.transaction,
                    "route": None if each.place is None else each.place._asdict(),
                    "waited": each.waited,
                    "error": each.error,
                }
                for each in violation.operations
            ],
        }


def summarize(history: History, findings: Findings) -> Summary:
    """Count what is in *history*."""
    done = [each for each in history.operations if each.outcome is Outcome.DONE]
    failed = (each for each in history.operations if each.outcome is not Outcome.DONE)
    reads = [each for each in done if each.kind is Kind.READ]
    waited = [each.waited for each in reads if each.waited]
    return Summary(
        operations=len(done),
        sessions=len({each.session for each in history.operations}),
        reads=len(reads),
        local=sum(_is_local(each) for each in reads),
        at_writer=sum(
            each.place is not None and each.place.role == "writer" for each in reads
        ),
        waits=Waits(len(waited), sum(waited), max(waited, default=0.0)),
        errors=dict(Counter(map(_kind, failed)).most_common()),
        violations=findings.violations,
        lost=findings.lost,
        disturbances=history.disturbances,
        began=min((each.began for each in history.operations), default=0.0),
    )


def _is_local(read: Operation) -> bool:
    place = read.place
    return place is not None and place.role == "reader" and place.region == read.region


def _kind(failed: Operation) -> str:
    return failed.error.partition(":")[0] or failed.outcome.value


def _promises(violations: Sequence[Violation]) -> dict[str, int]:
    return dict(Counter(each.promise.value for each in violations).most_common())


def _words(operation: Operation) -> str:
    """Say what an operation did, and where, in a line."""
    made = ""
    if operation.key:
        made = f" {operation.key}: version {operation.version}"
        if operation.value:
            made += f", value {operation.value}"
    within = f" in transaction {operation.transaction}" if operation.transaction else ""
    where = f" [{operation.place}]" if operation.place else ""
    outcome = "" if operation.outcome is Outcome.DONE else f" {operation.outcome.value}"
    lasted = (operation.ended - operation.began) * 1000
    return (
        f"session {operation.session} in {operation.region}: {operation.kind.value}"
        f"{outcome}{made}{within}{where} ({operation.mode}, {lasted:.1f} ms)"
    )
