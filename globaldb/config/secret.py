"""Values that must not be read over a shoulder: passwords, and options that hold one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from globaldb.config.libpq import SECRETS

MASK = "***"


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A text that prints as ``***``; `reveal` gives it away on purpose."""

    text: str

    def reveal(self) -> str:
        """Return the text itself, for the driver alone."""
        return self.text

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK


@dataclass(frozen=True, slots=True, repr=False)
class DriverOptions(Mapping[str, str]):
    """Options handed to the driver as they are; hashable, secrets masked in print."""

    pairs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, options: Mapping[str, str]) -> DriverOptions:
        """Take *options* in an order that makes equal options equal values."""
        return cls(tuple(sorted(options.items())))

    def __getitem__(self, name: str) -> str:
        for key, value in self.pairs:
            if key == name:
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (key for key, _ in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        shown = {k: MASK if k in SECRETS else v for k, v in self.pairs}
        return f"DriverOptions({shown})"
