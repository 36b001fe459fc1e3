"""Names in the DNS, asked of one name server; dnspython is imported when one is."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import ip_address
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from globaldb.errors import ConfigurationError, NoNodeAvailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from globaldb.core.membership import Place

_SHORTEST: Final = 0.001


@dataclass(frozen=True, slots=True)
class Trail:
    """Where a name leads now."""

    #: The name itself, and its aliases on the way. An instance of RDS that is open to
    #: the internet is an alias as well, of a name that tells nothing.
    names: tuple[str, ...]
    addresses: frozenset[str]
    #: Seconds for which that may be believed.
    ttl: float

    @property
    def end(self) -> str:
        """The last of its aliases; the name itself when it has none."""
        return self.names[-1]


def installed() -> bool:
    """Whether names can be asked for at all."""
    return find_spec("dns") is not None


def is_name(host: str) -> bool:
    """Whether *host* is a name that somebody has to be asked for."""
    if host.startswith("/") or host.lower() == "localhost":
        return False
    try:
        ip_address(host)
    except ValueError:
        return True
    return False


class Names:
    """The names that *server* (address and port) knows; None: the system's servers.

    Nothing is kept: answers are asked for again each time. Raises
    `ConfigurationError` when dnspython is missing.
    """

    def __init__(self, server: tuple[str, int] | None) -> None:
        if not installed():
            raise ConfigurationError(
                "names are asked for through dnspython, which is missing: "
                "pip install 'globaldb[dns]'"
            )
        self._server = server
        self._whom = "the DNS" if server is None else f"name server {server[0]}"

    def address(self, name: str, deadline: float) -> str:
        """Return an address of *name*, before *deadline* (monotonic seconds).

        Raises `NoNodeAvailableError` when there is none.
        """
        return min(self.trail(name, deadline).addresses)

    def trail(self, name: str, deadline: float) -> Trail:
        """Follow *name* through its aliases; raises as `address` does."""
        answer = self._ask(name, "A", deadline)
        if not answer.rrset:
            answer = self._ask(name, "AAAA", deadline)
        records = [str(record) for record in answer.rrset or ()]
        if not records:
            raise NoNodeAvailableError(f"{self._whom} knows no address of {name}")
        way = answer.chaining_result
        names = [answer.qname, *(alias[0].target for alias in way.cnames)]
        return Trail(
            tuple(_text(each) for each in names),
            frozenset(records),
            float(way.minimum_ttl),
        )

    def services(self, name: str, deadline: float) -> tuple[Sequence[Place], float]:
        """Return where the SRV records of *name* lead, and how long they hold.

        Raises `NoNodeAvailableError` when there are none.
        """
        answer = self._ask(name, "SRV", deadline)
        # A lone dot says that there is decidedly none.
        found = [
            (_text(record.target), record.port)
            for record in answer.rrset or ()
            if _text(record.target)
        ]
        if not found:
            raise NoNodeAvailableError(f"{self._whom} knows no SRV records of {name}")
        return sorted(found), float(answer.chaining_result.minimum_ttl)

    def _ask(self, name: str, kind: str, deadline: float) -> Any:
        from dns.exception import DNSException
        from dns.resolver import Resolver

        try:
            resolver = Resolver(configure=self._server is None)
            if self._server is not None:
                resolver.nameservers = [self._server[0]]
                resolver.port = self._server[1]
            return resolver.resolve(
                name,
                kind,
                raise_on_no_answer=False,
                # The system would try a short name in its own domains, too.
                search=self._server is None,
                lifetime=max(_SHORTEST, deadline - monotonic()),
            )
        except DNSException as error:
            text = " ".join(str(error).split()) or type(error).__name__
            raise NoNodeAvailableError(
                f"{self._whom} does not tell the {kind} records of {name}: {text}"
            ) from error


def _text(name: Any) -> str:
    text: str = name.to_text(omit_final_dot=True).lower()
    return "" if text == "." else text
