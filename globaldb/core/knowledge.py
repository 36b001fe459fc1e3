"""Text to statement, with everything that is known of one cluster.

The rules of the engine come first; its catalog says what functions and views do; the
user's lists and hints have their say; what readers have refused is remembered.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from globaldb.core.catalog import EMPTY, Catalog, Kind
from globaldb.core.hints import hints
from globaldb.core.idiom import POSTGRESQL, Idiom
from globaldb.core.learned import Learned, fingerprint
from globaldb.core.lexer import decoded
from globaldb.core.query_cache import LONGEST, QueryCache
from globaldb.core.repeatable import Repeatable, repeatable
from globaldb.core.statement import Statement, Verdict
from globaldb.core.tables import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from globaldb.core.learned import Lesson
    from globaldb.core.lexer import Token
    from globaldb.core.tables import Touched

#: What only a reader may refuse, and so what can be learnt about.
_READS = frozenset((Verdict.READ, Verdict.NODE_LOCAL))
_NAMES = frozenset(("name", "quoted"))


class Touching(Protocol):
    """Tells which tables a statement touches, beside the session's temporary ones."""

    def __call__(
        self,
        statement: Statement,
        tokens: Sequence[Token],
        catalog: Catalog,
        temporary: frozenset[str] = ...,
    ) -> Touched:
        """Return the tables that *statement* reads and writes."""


class Language(NamedTuple):
    """The rules of one engine."""

    classify: Callable[[str | bytes, Catalog], Statement]
    tokenize: Callable[[str], Sequence[Token]]
    #: Tells which tables a statement reads and writes, where anybody can tell.
    touched: Touching | None = None
    idiom: Idiom = POSTGRESQL


class Look(NamedTuple):
    """What a transaction asks of a read besides its verdict."""

    fingerprint: str
    repeatable: Repeatable


class Knowledge:
    """What is known of the statements of one cluster. Safe for threads.

    *read_functions* and *write_functions* are the user's word on functions; with
    *obey_hints* a leading comment may say where a statement goes. *entries* bounds
    the statements remembered.
    """

    __slots__ = (
        "_calling",
        "_catalog",
        "_language",
        "_learned",
        "_obey",
        "_said",
        "cache",
        "looks",
        "touched",
    )

    def __init__(
        self,
        language: Language,
        *,
        read_functions: Sequence[str] = (),
        write_functions: Sequence[str] = (),
        obey_hints: bool = False,
        entries: int = 4096,
    ) -> None:
        self._language = language
        self._obey = obey_hints
        self._said = (tuple(read_functions), tuple(write_functions))
        self._learned = Learned(language.tokenize)
        self._catalog = EMPTY.with_options(*self._said)
        #: The views and types that run functions of the database.
        self._calling: frozenset[str] = frozenset()
        self.cache = QueryCache(self._classify, entries=entries)
        #: What each read of a transaction looks like.
        self.looks = QueryCache(self._look, entries=entries)
        #: The tables that each text reads and writes, for sessions that ask.
        self.touched = QueryCache(self.touched_beside, entries=entries)

    @property
    def catalog(self) -> Catalog:
        """What the database says of its own objects, with the user's word on top."""
        return self._catalog

    def tokens(self, sql: str | bytes) -> Sequence[Token]:
        """Take *sql* apart by the rules of the engine."""
        return self._language.tokenize(decoded(sql))

    @property
    def idiom(self) -> Idiom:
        """How sessions speak to the engine of transactions and settings."""
        return self._language.idiom

    def update(self, catalog: Catalog) -> None:
        """Go by *catalog* from now on; what was classified by another is forgotten.

        So is what was learnt, when there was another: the objects behind a refusal
        may have changed too.
        """
        catalog = catalog.with_options(*self._said)
        before = self._catalog
        if catalog == before:
            return
        self._catalog = catalog
        self._calling = frozenset(
            entry.name
            for entry in catalog.entries
            if entry.calls and entry.kind in (Kind.RELATION, Kind.TYPE)
        )
        if before.entries:
            self._learned.clear()
        self.cache.clear()
        self.touched.clear()

    def forget(self) -> None:
        """Forget what was learnt and classified: the database has changed.

        What a table leads to is not known until the catalog was read again.
        """
        self._learned.clear()
        if self._catalog.tables is not None:
            self._catalog = replace(self._catalog, tables=None)
        self.cache.clear()
        self.touched.clear()

    def learn(self, sql: str | bytes, problem: str, node: str, now: float) -> None:
        """Remember that *node*, a reader, refused *sql* because it only reads."""
        if self._learned.remember(decoded(sql), problem, node, now):
            self.cache.clear()
            self.touched.clear()

    def refused(self, sql: str | bytes) -> bool:
        """Whether a reader is known to refuse statements like *sql*."""
        return len(self._learned) > 0 and decoded(sql) in self._learned

    def doubt(self) -> None:
        """Go by what can only err towards the writer: the catalog is out of date.

        Functions are unknown, and unknown means writer; what was more than a read
        stays so.
        """
        known = self._catalog
        self._catalog = replace(
            EMPTY.with_options(*self._said),
            relations=known.relations,
            operators=known.operators,
            types=known.types,
            columns=known.columns,
            changes=known.changes,
        )
        self.forget()

    def runs_functions(self, sql: str | bytes) -> bool:
        """Whether *sql* runs functions of the database, directly or through a view.

        What such a function reads cannot be seen from outside.
        """
        catalog, calling = self._catalog, self._calling
        tokens = self.tokens(sql)
        for index, token in enumerate(tokens):
            if token.kind not in _NAMES:
                continue
            name = token.text
            if name in calling:
                return True
            if name in catalog.functions or name in catalog.listed:
                # Called as a function, or as a column of its argument.
                follower = tokens[index + 1].text if index + 1 < len(tokens) else ""
                if follower == "(" or (index and tokens[index - 1].text == "."):
                    return True
        return False

    def lessons(self) -> tuple[Lesson, ...]:
        """Return what was learnt, oldest first."""
        return self._learned.lessons()

    def touched_beside(
        self, sql: str | bytes, temporary: frozenset[str] = frozenset()
    ) -> Touched:
        """Return what *sql* touches in a session that has these *temporary* tables."""
        tell, catalog = self._language.touched, self._catalog
        if tell is None or catalog.tables is None or len(sql) > LONGEST:
            return UNKNOWN
        statement = self.cache.lookup(sql)
        return tell(statement, self.tokens(sql), catalog, temporary)

    def _classify(self, sql: str | bytes) -> Statement:
        statement = self._language.classify(sql, self._catalog)
        changes: dict[str, Any] = {}
        if statement.verdict in _READS and self.refused(sql):
            changes.update(verdict=Verdict.WRITE, reason="learned")
        if self._obey:
            asked = hints(decoded(sql))
            if asked is not None:
                changes["hints"] = tuple(asked.items())
        return replace(statement, **changes) if changes else statement

    def _look(self, sql: str | bytes) -> Look:
        tokens = self.tokens(sql)
        return Look(fingerprint(tokens), repeatable(tokens))
