"""Who was the writer, in order, where positions name servers instead of timelines.

MySQL and MariaDB number no promotions. But a writer that was promoted has transactions
of the one before it, and one that comes back without having followed its successor has
none of the successor's: so the two can be told apart, and the reigns counted. The
numbers are this process's own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from globaldb.core.topology import Role

if TYPE_CHECKING:
    from globaldb.core.gtid import GtidSet
    from globaldb.core.topology import Sample

#: The epoch of writers from before the first reign that this process has seen.
_BEFORE: Final = 1


@dataclass(frozen=True, slots=True)
class Reign:
    """One server's time as the writer."""

    source: str
    #: What it had when it was first seen as the writer, and when last.
    began: GtidSet
    seen: GtidSet

    @property
    def wrote(self) -> bool:
        """Whether it has certainly written since it was first seen."""
        return self.seen.last(self.source) > self.began.last(self.source)


@dataclass(frozen=True, slots=True)
class Reigns:
    """Every reign that this process has seen, the present one last."""

    past: tuple[Reign, ...] = ()
    #: Servers that were seen as readers since the present reign began.
    followers: frozenset[str] = frozenset()

    @property
    def epoch(self) -> int:
        """The number of the present reign; 0 while none is known."""
        return _BEFORE + len(self.past) if self.past else 0

    def observe(self, sample: Sample, *, contested: bool = False) -> tuple[Reigns, int]:
        """Take in what a server says; return what is known now, and its epoch.

        The epoch is 0 where positions name no servers. A server that was the writer
        once and does not know that there was another since has an older one.
        *contested* says that the present writer answers, and calls itself that.
        """
        if not sample.source:
            return self, 0
        if sample.role is not Role.WRITER or sample.history is None:
            known = replace(self, followers=self.followers | {sample.source})
            return known, self.epoch
        reign = Reign(sample.source, sample.history, sample.history)
        if not self.past:
            return Reigns((reign,)), _BEFORE + 1
        present = self.past[-1]
        if present.source == sample.source:
            present = replace(present, seen=sample.history)
            return replace(self, past=(*self.past[:-1], present)), self.epoch
        if not self._succeeds(reign, present, contested=contested):
            return self, _BEFORE
        known = Reigns((*self.past, reign))
        return known, known.epoch

    def _succeeds(self, new: Reign, present: Reign, *, contested: bool) -> bool:
        """Whether *new*, by what it has, became the writer after *present*."""
        if new.source in self.followers:
            return True
        abdicated = present.source in self.followers
        last = new.began.last(present.source)
        heir = last >= present.seen.last(present.source) > 0 or (
            present.wrote and last > present.began.last(present.source)
        )
        if any(reign.source == new.source for reign in self.past):
            # Of two that replicate each other, and both let be written to, one is
            # enough; and what knows nothing of its successor's writes is not the next.
            return not contested and (heir or (abdicated and not present.wrote))
        return heir or abdicated or not present.seen.last(new.source)
