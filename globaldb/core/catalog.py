"""What a database says about its own objects, and no text shows.

A function that writes looks like one that reads, and so does a view over it. The
catalog knows; whatever it does not list stays unknown, and unknown means writer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from globaldb.core.findings import SEVERITY, Finding
from globaldb.core.statement import Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from globaldb.core.tables import Relations

_READ: Final = Finding(Verdict.READ, "known_function")
_LISTED: Final = Finding(Verdict.WRITE, "listed_function")
_PART: Final = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')


class Kind(Enum):
    """What an object is to a statement that names it."""

    FUNCTION = "function"
    RELATION = "relation"
    #: An operator, known by its sign.
    OPERATOR = "operator"
    #: A type: casting to it may run functions.
    TYPE = "type"
    #: A function of one argument, which may be written as a column of it.
    COLUMN = "column"
    #: A table whose change keeps something on the connection.
    CHANGE = "change"


class Entry(NamedTuple):
    """One object: what it does by itself, and which functions it runs.

    *calls* holds their names as ``"schema.name"``; what they do, it does.
    """

    kind: Kind
    schema: str
    name: str
    own: Finding = _READ
    calls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalog:
    """Findings by name; immutable, so that every thread may read it.

    A name is folded as the server folds it. Each object stands under
    ``"schema.name"`` and under ``"name"``; where several share a name (schemas,
    overloads), the gravest finding stands there.
    """

    #: Every routine that is not the server's own, those that only read too.
    functions: Mapping[str, Finding] = field(default_factory=dict)
    #: The tables and views that are more than a read to read; all others are left out.
    relations: Mapping[str, Finding] = field(default_factory=dict)
    #: The operators that are more than a read to use, by their sign.
    operators: Mapping[str, Finding] = field(default_factory=dict)
    #: The types that are more than a read to cast to.
    types: Mapping[str, Finding] = field(default_factory=dict)
    #: The functions that are more than a read where they look like columns.
    columns: Mapping[str, Finding] = field(default_factory=dict)
    #: The tables whose change keeps something on the connection that made it.
    changes: Mapping[str, Finding] = field(default_factory=dict)
    #: What the user says of functions, above all else, the server's own included.
    listed: Mapping[str, Finding] = field(default_factory=dict)
    #: What its tables and views lead to; ``None`` where nobody has asked.
    tables: Relations | None = field(default=None, repr=False)
    #: What it was made of.
    entries: tuple[Entry, ...] = field(default=(), repr=False)
    #: The functions known to do no more than read, by any of their names.
    readable: frozenset[str] = field(init=False, repr=False)
    #: The bare names, beyond those of unknown functions, that call for a closer look.
    watched: frozenset[str] = field(init=False, repr=False)
    #: The same in double quotes.
    watched_quoted: frozenset[str] = field(init=False, repr=False)
    #: What keeps something on its connection, even inside a write; in lower case.
    keeping: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        functions = {**self.functions, **self.listed}
        grave = {
            name
            for name, found in functions.items()
            if found.verdict is not Verdict.READ
        }
        watched = {*self.relations, *self.types, *self.columns, *grave}
        bare = frozenset(name.rpartition(".")[2] for name in watched)
        every = (functions, self.relations, self.types, self.changes)
        derived = {
            "readable": frozenset(functions.keys() - grave),
            "watched": bare,
            "watched_quoted": frozenset(f'"{name}"' for name in bare),
            "keeping": frozenset(
                name.rpartition(".")[2].lower()
                for mapping in every
                for name, found in mapping.items()
                if found.verdict is Verdict.PIN
            ),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, entries: Iterable[Entry], tables: Relations | None = None) -> Catalog:
        """Return the catalog of a database that has these objects."""
        kept = tuple(entries)
        return cls(entries=kept, tables=tables, **_findings(kept, {}))

    def with_options(
        self,
        read_functions: Collection[str] = (),
        write_functions: Collection[str] = (),
    ) -> Catalog:
        """Return this catalog as the user corrects it, for ``f`` or ``schema.f``.

        Names fold to lower case unless in double quotes. What is in both lists writes;
        a name with its schema wins over one without.
        """
        if not (read_functions or write_functions):
            return self
        listed = {folded(name): _READ for name in read_functions}
        listed.update((folded(name), _LISTED) for name in write_functions)
        if not self.entries:
            return replace(self, listed=listed)
        return Catalog(
            entries=self.entries,
            tables=self.tables,
            listed=listed,
            **_findings(self.entries, listed),
        )

    def listing(self, schema: str, name: str) -> Finding | None:
        """Return what the user says of the function, if anything.

        A name called without its schema may be any of that name.
        """
        if schema:
            found = self.listed.get(f"{schema}.{name}")
            return self.listed.get(name) if found is None else found
        if any(
            found is _LISTED and key.rpartition(".")[2] == name
            for key, found in self.listed.items()
        ):
            return _LISTED
        return self.listed.get(name)

    def function(self, schema: str, name: str) -> Finding | None:
        """Return what calling the function does; ``None`` when it is not known.

        *schema* is empty where none was written.
        """
        if self.listed:
            found = self.listing(schema, name)
            if found is not None:
                return found
        return self.functions.get(f"{schema}.{name}" if schema else name)

    def relation(self, schema: str, name: str) -> Finding | None:
        """Return what reading the table or view does beyond a read, if anything."""
        return self.relations.get(f"{schema}.{name}" if schema else name)

    def operator(self, sign: str) -> Finding | None:
        """Return what the operator does beyond computing, if anything."""
        return self.operators.get(sign)


#: Nothing is known.
EMPTY: Final = Catalog()


def graver(one: Finding, other: Finding) -> Finding:
    """Return the finding that weighs more, the first of two equal ones."""
    return other if SEVERITY[other.verdict] > SEVERITY[one.verdict] else one


def folded(name: str) -> str:
    """Return *name*, as a user writes it, as the catalog has it."""
    return ".".join(
        quoted.replace('""', '"') if quoted else plain.strip().lower()
        for quoted, plain in _PART.findall(name)
    )


def _findings(
    entries: tuple[Entry, ...], listed: Mapping[str, Finding]
) -> dict[str, dict[str, Finding]]:
    """Return the findings of each kind of object by name."""
    functions = _functions(entries, listed)
    found: dict[Kind, dict[str, Finding]] = {kind: {} for kind in Kind}
    for entry in entries:
        if entry.kind is Kind.FUNCTION:
            continue
        finding = _with_calls(entry, functions)
        least = Verdict.PIN if entry.kind is Kind.CHANGE else Verdict.NODE_LOCAL
        if SEVERITY[finding.verdict] >= SEVERITY[least]:
            _put(found[entry.kind], entry, finding)
    for entry in entries:
        if entry.kind is Kind.FUNCTION:
            finding = functions[f"{entry.schema}.{entry.name}"]
            _put(found[Kind.FUNCTION], entry, finding)
    return {
        "functions": found[Kind.FUNCTION],
        "relations": found[Kind.RELATION],
        "operators": found[Kind.OPERATOR],
        "types": found[Kind.TYPE],
        "columns": found[Kind.COLUMN],
        "changes": found[Kind.CHANGE],
    }


def _functions(
    entries: tuple[Entry, ...], listed: Mapping[str, Finding]
) -> dict[str, Finding]:
    """Return what each function does, with all that it calls, by its full name."""
    functions: dict[str, Finding] = {}
    callers = []
    for entry in entries:
        if entry.kind is Kind.FUNCTION:
            name = f"{entry.schema}.{entry.name}"
            functions[name] = graver(functions.get(name, _READ), entry.own)
            if entry.calls:
                callers.append((name, entry))
    said = {name: _said(name, listed) for name in functions} if listed else {}
    functions.update((name, found) for name, found in said.items() if found)
    changed = True
    while changed:
        changed = False
        for name, entry in callers:
            if said.get(name) is None:
                finding = graver(functions[name], _with_calls(entry, functions))
                changed = changed or finding != functions[name]
                functions[name] = finding
    return functions


def _said(name: str, listed: Mapping[str, Finding]) -> Finding | None:
    return listed.get(name) or listed.get(name.partition(".")[2])


def _with_calls(entry: Entry, functions: Mapping[str, Finding]) -> Finding:
    finding = entry.own
    for name in entry.calls:
        finding = graver(finding, functions.get(name, _READ))
    return finding


def _put(found: dict[str, Finding], entry: Entry, finding: Finding) -> None:
    keys = [entry.name]
    if entry.kind is not Kind.OPERATOR and entry.schema:
        keys.append(f"{entry.schema}.{entry.name}")
    for key in keys:
        found[key] = graver(found.get(key, finding), finding)
