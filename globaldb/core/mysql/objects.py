"""What the stored objects of a MySQL or MariaDB schema do, from their definitions.

DETERMINISTIC and READS SQL DATA are what an author wrote, and no server checks them:
only the body tells. A body that cannot be seen, or not be read, is a write.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from globaldb.core.catalog import Catalog, Entry, Kind, graver
from globaldb.core.findings import SEVERITY, Finding
from globaldb.core.lexer.mysql import gates, quotings, tokenize
from globaldb.core.mysql.bodies import body_finding, plain_body
from globaldb.core.mysql.queries import Query
from globaldb.core.statement import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from globaldb.core.lexer import Token

_READ: Final = Finding(Verdict.READ, "known_function")
_HIDDEN: Final = Finding(Verdict.WRITE, "opaque_body")
#: It may leave a temporary table, a lock, a setting: nobody else must find them.
_UNSEEN_ROUTINE: Final = Finding(Verdict.PIN, "opaque_body")
_FOREIGN: Final = Finding(Verdict.WRITE, "foreign_table")
_SEQUENCE: Final = Finding(Verdict.WRITE, "sequence")
_WRITE: Final = SEVERITY[Verdict.WRITE]
#: Longer definitions are not taken apart: they are writes.
_LONGEST: Final = 1 << 18


class Sort(Enum):
    """The kinds of stored objects."""

    FUNCTION = "function"
    PROCEDURE = "procedure"
    VIEW = "view"
    #: Known by its table; a table may have several.
    TRIGGER = "trigger"
    SEQUENCE = "sequence"
    #: A table whose rows are elsewhere, or nowhere.
    FOREIGN = "foreign"


class Definition(NamedTuple):
    """One object; *text* is ``None`` where this user may not see it.

    *variables* are the names of a routine's parameters, in lower case.
    """

    sort: Sort
    schema: str
    name: str
    text: str | None = None
    variables: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Judged:
    """What a definition does by itself, what it calls, and the names it has."""

    definition: Definition
    own: Finding
    calls: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    def with_behind(self, other: _Judged) -> _Judged:
        """Return this, doing what *other* does too."""
        own, calls = graver(self.own, other.own), self.calls | other.calls
        if own is self.own and calls == self.calls:
            return self
        return replace(self, own=own, calls=calls)


def entries(definitions: Iterable[Definition]) -> Iterator[Entry]:
    """Yield what each object does by itself, and which functions it runs."""
    found = [_folded(definition) for definition in definitions]
    routines = _routines(found)
    full = (name for names in routines.values() for name in names)
    # What they call is looked at apart: here they count as known.
    catalog = Catalog(functions=dict.fromkeys((*routines, *full), _READ))
    judged = [_judge(definition, routines, catalog) for definition in found]
    views = _by_name(judged, Sort.VIEW)
    triggers = _by_name(judged, Sort.TRIGGER)
    for one in _reached(judged, views, triggers):
        sort, schema, name, *_ = one.definition
        yield Entry(_KINDS[sort], schema, name, one.own, tuple(sorted(one.calls)))


_KINDS: Final = {
    Sort.FUNCTION: Kind.FUNCTION,
    Sort.PROCEDURE: Kind.FUNCTION,
    Sort.VIEW: Kind.RELATION,
    Sort.SEQUENCE: Kind.RELATION,
    Sort.FOREIGN: Kind.RELATION,
    Sort.TRIGGER: Kind.CHANGE,
}


def _folded(definition: Definition) -> Definition:
    # Statements are compared with names in lower case, whatever the server does.
    schema, name = definition.schema.lower(), definition.name.lower()
    return definition._replace(schema=schema, name=name)


def _routines(definitions: Sequence[Definition]) -> dict[str, set[str]]:
    """Return the full names of all routines by their bare names."""
    found: dict[str, set[str]] = {}
    for sort, schema, name, *_ in definitions:
        if _KINDS[sort] is Kind.FUNCTION:
            found.setdefault(name, set()).add(f"{schema}.{name}")
    return found


def _by_name(judged: Iterable[_Judged], sort: Sort) -> dict[str, list[_Judged]]:
    found: dict[str, list[_Judged]] = {}
    for one in judged:
        if one.definition.sort is sort:
            found.setdefault(one.definition.name, []).append(one)
    return found


def _reached(
    judged: Sequence[_Judged],
    views: Mapping[str, Sequence[_Judged]],
    triggers: Mapping[str, Sequence[_Judged]],
) -> Iterator[_Judged]:
    """Yield each object with what the views and triggers behind its names do."""
    for one in judged:
        whole = one
        seen: set[str] = set()
        names = set(one.names)
        while names:
            name = names.pop()
            seen.add(name)
            behind = list(views.get(name, ()))
            # Only what changes a table fires its triggers.
            if SEVERITY[whole.own.verdict] >= _WRITE:
                behind += triggers.get(name, ())
            for other in behind:
                whole = whole.with_behind(other)
                names |= other.names - seen
        yield whole


def _judge(
    definition: Definition, routines: Mapping[str, set[str]], catalog: Catalog
) -> _Judged:
    sort, _, _, text, _ = definition
    if sort is Sort.SEQUENCE:
        return _Judged(definition, _SEQUENCE)
    if sort is Sort.FOREIGN:
        return _Judged(definition, _FOREIGN)
    if not text or len(text) > _LONGEST or gates(text):
        unseen = not text and _KINDS[sort] is Kind.FUNCTION
        return _Judged(definition, _UNSEEN_ROUTINE if unseen else _HIDDEN)
    own, names, calls = _READ, frozenset[str](), frozenset[str]()
    for quoting in quotings(text):
        tokens = tokenize(text, quoting)
        if tokens and tokens[-1].kind == "bad":
            own = graver(own, _HIDDEN)
            continue
        own = graver(own, _does(definition, tokens, catalog))
        names |= {token.text.lower() for token in tokens if _is_name(token)}
        calls |= _calls(definition, tokens, routines)
    return _Judged(definition, own, calls, names)


def _is_name(token: Token) -> bool:
    return token.kind in ("name", "quoted")


def _does(definition: Definition, tokens: Sequence[Token], catalog: Catalog) -> Finding:
    """Judge all but the calls of other routines."""
    if definition.sort is Sort.VIEW:
        found = Query(tokens, catalog).judge()
    else:
        found = Query(plain_body(tokens), catalog).judge()
        found = graver(found, body_finding(tokens, definition.variables))
    keeps = found.verdict is Verdict.SESSION or (
        # What a write reads from its connection, no other has.
        found.verdict is Verdict.WRITE
        and any(token.kind == "variable" for token in tokens)
    )
    if keeps:
        return Finding(Verdict.PIN, "stateful_function")
    return _READ if found.verdict is Verdict.READ else found


def _calls(
    definition: Definition, tokens: Sequence[Token], routines: Mapping[str, set[str]]
) -> frozenset[str]:
    """Return the full names of the routines that may be called."""
    found: set[str] = set()
    for index, token in enumerate(tokens):
        name = token.text.lower()
        if not _is_name(token) or name not in routines:
            continue
        if index > 1 and tokens[index - 1].text == ".":
            whole = f"{tokens[index - 2].text.lower()}.{name}"
        else:
            whole = f"{definition.schema}.{name}"
        found |= {whole} & routines[name] or routines[name]
    found.discard(f"{definition.schema}.{definition.name}")
    return frozenset(found)
