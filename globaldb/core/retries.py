"""How often, and after what pauses, work that failed may be done again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Retries:
    """Attempts that are left, and the pauses between them (seconds).

    The longest possible pause doubles each time, from *base* up to *most*; how much of
    it is taken is left to chance, so that those who met do not meet again.
    """

    left: int
    base: float = 0.05
    most: float = 2.0
    spent: int = 0

    def delay(self, uniform: Callable[[float, float], float]) -> float:
        """Return the seconds to wait before the next attempt."""
        return uniform(0.0, min(self.most, self.base * 2.0 ** min(self.spent, 60)))

    def spend(self) -> Retries:
        """Return what is left after one more attempt."""
        return replace(self, left=self.left - 1, spent=self.spent + 1)
