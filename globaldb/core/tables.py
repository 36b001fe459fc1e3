"""Which tables a statement touches, and what each relation of a database stands for.

Tables go by their bare names: of one name in two schemas, both are touched. That is
more than need be, never less, and whatever the search path says makes no difference.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

#: Names of tables; ``None`` where any table may be meant.
Tables: TypeAlias = "frozenset[str] | None"

#: Stands for everything that the server keeps of its own: definitions, statistics.
SYSTEM: Final = "pg_catalog"
_NOBODY: Final[frozenset[str]] = frozenset()


class Touched(NamedTuple):
    """The tables that a statement reads, and those it writes.

    Either may name too many, never too few; ``None`` is not known, which is any table.
    """

    reads: Tables
    writes: Tables

    @property
    def both(self) -> Tables:
        """What it reads or writes."""
        if self.reads is None or self.writes is None:
            return None
        return self.reads | self.writes


#: Nobody knows what is touched.
UNKNOWN: Final = Touched(None, None)
#: No table is touched.
NOTHING: Final = Touched(_NOBODY, _NOBODY)


class Sort(Enum):
    """What a row tells of the relations that it names."""

    #: They are there.
    KNOWN = "known"
    #: Views: read or written, they stand for what they use.
    VIEW = "view"
    #: To read them their policies read what they use.
    POLICY = "policy"
    #: They have these partitions, or tables that inherit from them.
    PARENT = "parent"
    #: To change or delete rows of them changes rows of what refers to them.
    CASCADE = "cascade"
    #: To read them, or to use these types, runs what nobody can look into.
    OPAQUE = "opaque"
    #: To write them does what a rule says.
    RULED = "ruled"
    #: To write them runs these functions.
    RUNS = "runs"
    #: To write them runs a trigger: its language and its body.
    FIRES = "fires"
    #: Not relations but functions, which read no table.
    PURE = "pure"
    #: Not relations but operators, which run what nobody can look into.
    OPERATOR = "operator"


#: What is told, the names it is told of, and what these use.
Row: TypeAlias = "tuple[Sort, Iterable[str], Iterable[str]]"


class Trigger(NamedTuple):
    """A trigger's function."""

    language: str
    body: str


#: Names that a write leads to, by those it is made to.
_Edges: TypeAlias = "Mapping[str, frozenset[str]]"


@dataclass(frozen=True, slots=True)
class Relations:
    """The relations of one database, and what reading and writing them leads to.

    Immutable, so that every thread may read it.
    """

    #: Every relation, whether more is to be said of it or not.
    known: frozenset[str] = frozenset()
    views: _Edges = field(default_factory=dict)
    policies: _Edges = field(default_factory=dict)
    parents: _Edges = field(default_factory=dict)
    cascades: _Edges = field(default_factory=dict)
    runs: _Edges = field(default_factory=dict)
    opaque: frozenset[str] = frozenset()
    ruled: frozenset[str] = frozenset()
    triggers: Mapping[str, frozenset[Trigger]] = field(default_factory=dict)
    #: Functions that read no table, whatever their arguments.
    pure: frozenset[str] = frozenset()
    #: Operators whose functions may read any table, by their signs.
    operators: frozenset[str] = frozenset()

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Relations:
        """Return what *rows* tell."""
        edges: dict[Sort, dict[str, frozenset[str]]] = {sort: {} for sort in Sort}
        triggers: dict[str, frozenset[Trigger]] = {}
        for sort, listed, uses in rows:
            used = tuple(uses)
            others = frozenset(each for each in used if each)
            for name in listed:
                if sort is Sort.FIRES:
                    found = Trigger(used[0], used[1])
                    triggers[name] = triggers.get(name, frozenset()) | {found}
                else:
                    of_sort = edges[sort]
                    of_sort[name] = of_sort.get(name, _NOBODY) | others
        return cls(
            known=frozenset(edges[Sort.KNOWN]),
            views=edges[Sort.VIEW],
            policies=edges[Sort.POLICY],
            parents=edges[Sort.PARENT],
            cascades=edges[Sort.CASCADE],
            runs=edges[Sort.RUNS],
            opaque=frozenset(edges[Sort.OPAQUE]),
            ruled=frozenset(edges[Sort.RULED]),
            triggers=triggers,
            pure=frozenset(edges[Sort.PURE]),
            operators=frozenset(edges[Sort.OPERATOR]),
        )

    def read(self, names: Iterable[str]) -> Tables:
        """Return what reading the relations called *names* reads."""
        found: set[str] = set()
        ahead = list(names)
        while ahead:
            name = ahead.pop()
            if name in found:
                continue
            if name in self.opaque:
                return None
            found.add(name)
            if name in self.views:
                # It may show definitions; what it uses of those is not recorded.
                found.add(SYSTEM)
                ahead.extend(self.views[name])
            ahead.extend(self.policies.get(name, _NOBODY))
            ahead.extend(self.parents.get(name, _NOBODY))
        return frozenset(found)

    def written(
        self,
        targets: Iterable[Target],
        fired: Callable[[Trigger], Iterable[Target] | None],
        harmless: Callable[[str], bool],
    ) -> Tables:
        """Return what writing *targets* writes, directly and by what it sets off.

        *fired* tells what a trigger's body writes, ``None`` if that is not known;
        *harmless* tells of a function, as ``"schema.name"``, that it writes nothing.
        """
        found: set[Target] = set()
        ahead = list(targets)
        while ahead:
            target = ahead.pop()
            if target in found:
                continue
            found.add(target)
            name = target.name
            if name in self.ruled or not all(
                harmless(function) for function in self.runs.get(name, _NOBODY)
            ):
                return None
            for trigger in self.triggers.get(name, ()):
                set_off = fired(trigger)
                if set_off is None:
                    return None
                ahead.extend(set_off)
            for edges in (self.parents, self.views):
                ahead.extend(
                    target._replace(name=each) for each in edges.get(name, _NOBODY)
                )
            if target.changes:
                ahead.extend(
                    Target(each, changes=True)
                    for each in self.cascades.get(name, _NOBODY)
                )
        return frozenset(target.name for target in found)


class Target(NamedTuple):
    """A relation written, and whether rows that were there may change or go."""

    name: str
    changes: bool
