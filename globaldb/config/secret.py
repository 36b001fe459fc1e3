"""Values that must not be read over a shoulder: passwords, and options that hold one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Login:
    """Who to be at a node, for the length of one login."""

    user: str | None
    password: Secret | None


@dataclass(frozen=True, slots=True, repr=False)
class DriverOptions(Mapping[str, Any]):
    """Options handed to the driver as they are; hashable, secrets masked in print."""

    pairs: tuple[tuple[str, Any], ...] = ()
    #: The names of those that are never shown.
    secrets: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, options: Mapping[str, Any], secrets: frozenset[str] = frozenset()
    ) -> DriverOptions:
        """Take *options* in an order that makes equal options equal values."""
        order = sorted(options)
        return cls(tuple((name, options[name]) for name in order), secrets)

    def __getitem__(self, name: str) -> Any:
        for key, value in self.pairs:
            if key == name:
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (key for key, _ in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        shown = {k: MASK if k in self.secrets else v for k, v in self.pairs}
        return f"DriverOptions({shown})"
