"""What only a routed connection answers, whatever its engine."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from globaldb.config.options import BY_NAME
from globaldb.core.consistency import (
    Consistency,
    parse_consistency,
    parse_transaction_reads,
)
from globaldb.errors import ProgrammingError
from globaldb.runtime import flow
from globaldb.runtime.shell import drive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from globaldb.core.routing import Route
    from globaldb.core.token import Token
    from globaldb.runtime.session import Session


#: What `Routed.using` takes.
OPTIONS: Final = (
    "consistency",
    "route",
    "region",
    "max_staleness",
    "timeout",
    "transaction_reads",
)


class Routed:
    """The part of a connection that speaks of its session."""

    session: Session

    def source(self, query: Any) -> str | bytes:
        """Return the text of *query* that is classified."""
        raise NotImplementedError

    def story(self) -> AbstractContextManager[None, None]:
        """Take turns with other threads, and raise errors that both trees catch."""
        raise NotImplementedError

    @property
    def consistency(self) -> Consistency | None:
        """The promise kept for reads: session, global, eventual; None refuses writes.

        Refused is a write from a region without the writer (`ReadOnlyError`). May be set
        to the name; raises `ConfigurationError` for one that is none.
        """
        return self.session.consistency

    @consistency.setter
    def consistency(self, value: Consistency | str | None) -> None:
        with self.story():
            self.session.consistency = _consistency(value)

    @contextmanager
    def using(self, **options: Any) -> Iterator[Self]:
        """Apply options inside the block.

        *consistency*, *route* (``auto``, ``reader``, ``writer``; a write goes to the
        writer whatever it says), *region* (read there while it has nodes),
        *max_staleness* and *timeout* (seconds, or a text such as ``250ms``),
        *transaction_reads* (``verified``, ``local``, ``writer``).

        Raises `ProgrammingError` for an option that there is not, and for a value that
        makes no sense.
        """
        with self.story():
            for name in options:
                _refuse_unknown(name)
            read = {name: _read(name, value) for name, value in options.items()}
            applied = self.session.using(**read)
            applied.__enter__()
        try:
            yield self
        finally:
            applied.__exit__(None, None, None)

    @property
    def last_route(self) -> Route | None:
        """Where the last statement ran, and why; None before the first one."""
        return self.session.route

    def explain_route(self, query: Any) -> Route:
        """Say where *query* would run now. Sends nothing."""
        with self.story():
            source = self.source(query)
            return flow.explain(
                self.session, self.session.cluster.lookup(source), source
            )

    @property
    def token(self) -> Token:
        """Everything this session has written or read, as text for another process.

        Costs nothing when the position is known; else one round trip, which raises as
        `execute` does. Signed with ``token_secret``, if there is one.
        """
        with self.story():
            return drive(flow.issue(self.session))

    def observe(self, token: str, *, invalid: str | None = None) -> None:
        """From now on read nothing older than *token*, from this cluster.

        *invalid* is ``raise`` or ``ignore`` (the option ``invalid_tokens`` when it is
        left out), for tokens that are damaged, not signed as they should be, expired,
        or of another cluster: raises `TokenError`, or does nothing. Never waits.
        """
        with self.story():
            choice = invalid or self.session.cluster.config.invalid_tokens
            if choice not in ("raise", "ignore"):
                raise ProgrammingError(
                    f"invalid is {choice!r}; it must be 'raise' or 'ignore'"
                )
            flow.observe(self.session, token, ignore=choice == "ignore")


def _refuse_unknown(option: str) -> None:
    if option not in OPTIONS:
        raise ProgrammingError(
            f"using() has no option {option!r}; it has {', '.join(OPTIONS)}"
        )


def _consistency(value: Consistency | str | None) -> Consistency | None:
    if value is None or isinstance(value, Consistency):
        return value
    return parse_consistency(value)


def _read(name: str, value: Any) -> Any:
    """Return the value of one option of ``using``, which may be a text."""
    if name in ("max_staleness", "timeout"):
        return BY_NAME[name].read(value)
    return _READERS[name](value) if name in _READERS else value


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "consistency": _consistency,
    "transaction_reads": parse_transaction_reads,
}
