"""Find the promises that a history breaks.

Nothing here knows how globaldb works: only what applications did, when, and what they
were told. Pure, and about linear in the number of operations.
"""

from __future__ import annotations

from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING

from globaldb.verify.fates import Fate, Write
from globaldb.verify.findings import Findings, Promise
from globaldb.verify.history import (
    COUNTER,
    LIST,
    REGISTER,
    History,
    Kind,
    Operation,
    Outcome,
)
from globaldb.verify.index import Index
from globaldb.verify.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Mapping


def check(
    history: History, *, upgrades: bool = True, max_staleness: float | None = None
) -> Findings:
    """Return every violation in *history*.

    *upgrades*: whether what a transaction read before it wrote must have been current
    then, which ``transaction_reads=local`` does not promise. *max_staleness*: seconds
    after which a write has to be there for eventual reads, too.
    """
    # Each session's operations stay in their order.
    operations = sorted(history.operations, key=attrgetter("ended"))
    index = Index(operations, history.disturbances)
    findings = Findings(index)
    _check_writes(index, findings)
    reads = _Reads(index, findings)
    sessions = Sessions(index, findings, upgrades=upgrades, max_staleness=max_staleness)
    for operation in operations:
        sessions.take(operation)
        if operation.kind is Kind.READ and operation.outcome is Outcome.DONE:
            reads.take(operation)
    _check_end(index, findings, history.final)
    return findings


def _check_writes(index: Index, findings: Findings) -> None:
    """Check that committed writes followed each other, each from the one before it."""
    made: dict[tuple[str, int], Operation] = {}
    for write in index.writes:
        operation = write.operation
        if write.fate is not Fate.COMMITTED or not operation.version:
            continue
        other = made.setdefault((operation.key, operation.version), operation)
        if other is not operation:
            what = f"both made version {operation.version} of {operation.key}"
            findings.report(Promise.LOST, what, other, operation)
            continue
        due = index.due(operation.key, operation.began, operation.ended)
        if due is not None and operation.version < due.operation.version:
            own = due.operation.session == operation.session
            findings.report(
                Promise.MONOTONIC_WRITES if own else Promise.LOST,
                f"it made version {operation.version} of {operation.key} after version "
                f"{due.operation.version} was acknowledged",
                due.operation,
                operation,
            )


class _Reads:
    """Judges what reads have seen by who has written it."""

    def __init__(self, index: Index, findings: Findings) -> None:
        self._index = index
        self._report = findings.report
        #: By key and version, and by key and value: the first read that has seen it.
        self._versions: dict[tuple[str, int], Operation] = {}
        self._values: dict[tuple[str, int], Operation] = {}

    def take(self, read: Operation) -> None:
        """Judge one read."""
        if read.key.startswith(COUNTER):
            self._counter(read)
            return
        if read.key.startswith(LIST):
            self._list(read)
        if read.version or read.value:
            self._written(read)

    def _list(self, read: Operation) -> None:
        what = f"{read.value} rows in {read.key}, numbered up to {read.version}"
        if read.value > read.version:
            self._report(Promise.TWICE, what, read)
        elif read.value < read.version:
            first = self._index.first(read.key) or read
            self._report(Promise.LOST, what, first, read)

    def _counter(self, read: Operation) -> None:
        most = self._index.begun(read.key, read.ended)
        if read.version > most:
            what = f"version {read.version} of {read.key} after {most} writes"
            self._report(Promise.TWICE, what, read)

    def _written(self, read: Operation) -> None:
        """Check that somebody wrote what was read, and was allowed to show it."""
        write = self._index.maker(read)
        if write is None:
            what = f"nobody wrote {read.value} into {read.key}"
            self._report(Promise.COMMITTED, what, read)
            return
        made = write.operation
        if read.transaction and (made.session, made.transaction) == (
            read.session,
            read.transaction,
        ):
            # Its own, and perhaps never committed.
            return
        self._committed(write, read)
        if read.key.startswith(REGISTER):
            self._version(write, read)

    def _version(self, write: Write, read: Operation) -> None:
        """Check that a value is in one version only, and a version has one value."""
        made = write.operation
        if not made.version:
            made = self._values.setdefault((read.key, read.value), read)
        if made.version != read.version:
            versions = f"versions {made.version} and {read.version}"
            what = f"value {read.value} of {read.key} is in {versions}"
            self._report(Promise.TWICE, what, made, read)
        elif write.fate is not Fate.UNDONE:
            self._same(read)

    def _committed(self, write: Write, read: Operation) -> None:
        operation = write.operation
        seen = f"version {read.version} of {read.key}"
        if write.fate is Fate.UNDONE:
            refused = operation.outcome is not Outcome.DONE
            promise = Promise.REFUSED if refused else Promise.COMMITTED
            what = "failed" if refused else "was rolled back"
            self._report(promise, f"{seen} was seen, and {what}", operation, read)
        elif write.began > read.ended:
            what = f"{seen} was seen before it was committed"
            self._report(Promise.COMMITTED, what, operation, read)

    def _same(self, read: Operation) -> None:
        """Check that everybody sees the same value in a version."""
        first = self._versions.setdefault((read.key, read.version), read)
        if first.value == read.value:
            return
        values = f"{first.value} and {read.value}"
        what = f"version {read.version} of {read.key} has the values {values}"
        if self._report(Promise.LOST, what, first, read):
            self._versions[read.key, read.version] = read


def _check_end(
    index: Index, findings: Findings, final: Mapping[str, tuple[int, int]]
) -> None:
    """Compare what was acknowledged with what is there in the end."""
    possible: Counter[str] = Counter()
    for write in index.writes:
        operation = write.operation
        if write.fate is Fate.UNDONE:
            continue
        possible[operation.key] += 1
        version, _ = final.get(operation.key, (0, 0))
        if write.fate is Fate.COMMITTED and operation.version > version:
            what = f"{operation.key} has version {version} in the end, and this made "
            what += f"version {operation.version}"
            findings.missing(Promise.LOST, what, operation)
    for key, (version, value) in final.items():
        first = index.first(key)
        context = () if first is None else (first,)
        if version > possible[key]:
            what = (
                f"{key} has version {version} in the end, after {possible[key]} writes "
                "that may have been applied"
            )
            findings.missing(Promise.TWICE, what, *context)
        if key.startswith(LIST) and version != value:
            what = f"{value} rows in {key} in the end, numbered up to {version}"
            twice = value > version
            findings.missing(Promise.TWICE if twice else Promise.LOST, what, *context)
