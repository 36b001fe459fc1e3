"""One option: its name, kind, default and limits, and how its value is read."""

from __future__ import annotations

from dataclasses import dataclass

from globaldb.config.values import Kind, read
from globaldb.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Option:
    """One option as it may stand in the URL, a keyword, the environment or a file."""

    name: str
    kind: Kind
    meaning: str
    default: object = None
    #: Smallest and largest value; seconds for durations.
    minimum: float | None = None
    maximum: float | None = None
    #: ``none`` and ``off`` are values, and so is Python's None.
    may_be_none: bool = False
    aliases: tuple[str, ...] = ()
    #: The texts it may be, where not every text will do.
    choices: tuple[str, ...] = ()
    #: Variables of other programs that supply the value when nothing else does.
    variables: tuple[str, ...] = ()

    @property
    def repeatable(self) -> bool:
        """Whether it may be given several times in one place: all of them count."""
        return self.kind in (Kind.NODES, Kind.PATTERNS)

    def read(self, raw: object) -> object:
        """Return *raw* as this option's value.

        Raises `ConfigurationError` naming the option, what was wrong and the limits.
        """
        if self.may_be_none and says_none(raw):
            return None
        value = read(self.kind, self.name, raw)
        if isinstance(value, int | float) and not isinstance(value, bool):
            self.check_range(value)
        if self.choices and value not in self.choices:
            raise ConfigurationError(
                f"{self.name} is {value!r}; it must be one of {', '.join(self.choices)}"
            )
        return value

    def left_out(self, raw: object) -> bool:
        """Whether *raw* stands for "not given": None or an empty text.

        An empty node is an error instead: a variable that was never filled in must
        not make a cluster of one.
        """
        if self.may_be_none:
            return False
        return raw is None or (raw == "" and not self.repeatable)

    def check_range(self, value: float) -> None:
        """Raise `ConfigurationError` when *value* is outside the limits."""
        unit = " s" if self.kind is Kind.DURATION else ""
        if self.minimum is not None and value < self.minimum:
            bound = f"at least {self.minimum:g}{unit}"
        elif self.maximum is not None and value > self.maximum:
            bound = f"at most {self.maximum:g}{unit}"
        else:
            return
        raise ConfigurationError(f"{self.name} is {value:g}{unit}; it must be {bound}")


def says_none(raw: object) -> bool:
    """Whether *raw* means "no value"."""
    return raw is None or (
        isinstance(raw, str) and raw.strip().lower() in {"none", "off"}
    )


def duration(
    name: str,
    default: float | None,
    meaning: str,
    *,
    minimum: float = 0.0,
    maximum: float = 86400.0,
    may_be_none: bool = False,
    variables: tuple[str, ...] = (),
) -> Option:
    """Return an option that holds seconds, up to a day."""
    return Option(
        name,
        Kind.DURATION,
        meaning,
        default=default,
        minimum=minimum,
        maximum=maximum,
        may_be_none=may_be_none,
        variables=variables,
    )
