"""What the objects of a PostgreSQL database do, from the causes found behind them.

A cause is a letter, a colon and a name; the question that finds them says what each
letter stands for. A cause that is not understood is a write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from globaldb.core.catalog import Entry, Kind, graver
from globaldb.core.findings import Finding
from globaldb.core.postgresql.functions import HARMLESS, RUN_QUERIES, SPECIAL
from globaldb.core.postgresql.references import system_view
from globaldb.core.statement import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Kind of object, schema, causes, and the names of all objects that have them.
Row: TypeAlias = "tuple[str, str, list[str], list[str]]"

_READ: Final = Finding(Verdict.READ, "known_function")
_VOLATILE: Final = Finding(Verdict.WRITE, "volatile_function")
_KEEPS: Final = Finding(Verdict.PIN, "stateful_function")
_RELATIONS: Final = {
    "unlogged": Finding(Verdict.WRITE, "unlogged_table"),
    # Another server's data, or a file that only this one has.
    "foreign": Finding(Verdict.WRITE, "foreign_table"),
    # A replica shows the value up to 32 steps ahead, where the writer's log has it.
    "sequence": Finding(Verdict.WRITE, "sequence"),
    "lock": Finding(Verdict.WRITE, "locking_clause"),
}
# Volatile for a new value each time, or by oversight, and harmless: each looked at.
_HARMLESS_EXTENSIONS: Final = {
    "pgcrypto": "gen_random_bytes gen_random_uuid gen_salt crypt pgp_sym_encrypt "
    "pgp_sym_encrypt_bytea pgp_pub_encrypt pgp_pub_encrypt_bytea",
    "uuid-ossp": "uuid_generate_v1 uuid_generate_v1mc uuid_generate_v4",
    "tablefunc": "normal_rand",
}
# Theirs are about the server that answers.
_NODE_EXTENSIONS: Final = {
    "pg_stat_statements": "pg_stat_statements pg_stat_statements_info",
    "pg_buffercache": "pg_buffercache_pages pg_buffercache_summary "
    "pg_buffercache_usage_counts pg_buffercache_numa_pages",
}
_EXTENSIONS: Final = {
    (extension, name): finding
    for listed, finding in (
        (_HARMLESS_EXTENSIONS, _READ),
        (_NODE_EXTENSIONS, Finding(Verdict.NODE_LOCAL, "node_function")),
        # They set what the session goes by.
        ({"pg_trgm": "set_limit", "isn": "isn_weak"}, _KEEPS),
    )
    for extension, words in listed.items()
    for name in words.split()
}


def entries(rows: Iterable[Row]) -> Iterator[Entry]:
    """Yield what the objects in *rows* do by themselves, and which functions they run.

    The rows are those of the question that the driver asks a server's catalogs.
    """
    for kind, schema, causes, names in rows:
        calls = tuple(cause[2:] for cause in causes if cause[0] == "f")
        itself = "s:" in causes
        others = [cause for cause in causes if cause[0] not in "fs"]
        for name in names:
            own = _READ
            for cause in others:
                own = graver(own, _finding(cause[0], cause[2:], name))
            called = (*calls, f"{schema}.{name}") if itself else calls
            yield Entry(Kind(kind), schema, name, own, called)


def _finding(letter: str, cause: str, name: str) -> Finding:
    """Return what *cause* does to the object called *name*."""
    if letter == "v":
        return _volatile(cause, name)
    if letter == "w":
        return _KEEPS if cause == "keep" else _spoken(cause)
    if letter == "b":
        return _built_in(cause)
    if letter == "c":
        return system_view(cause) or _READ
    return _RELATIONS.get(cause, _VOLATILE)


def _volatile(extension: str, name: str) -> Finding:
    """Judge a volatile function, of an extension if that is named."""
    found = _EXTENSIONS.get((extension, name))
    if found is None and extension and name in SPECIAL:
        found = Finding(*SPECIAL[name])
    return found or _VOLATILE


def _spoken(word: str) -> Finding:
    """Judge a function's body that calls the server's function *word*."""
    if word == "set_config":
        # Whatever outlasts the transaction counts as kept already.
        return Finding(Verdict.WRITE, "set_config")
    verdict, reason = SPECIAL[word]
    return _KEEPS if verdict is Verdict.PIN else Finding(verdict, reason)


def _built_in(name: str) -> Finding:
    """Judge a view or policy that calls the server's function *name*."""
    if name in HARMLESS:
        return _READ
    if name in SPECIAL:
        return Finding(*SPECIAL[name])
    if name == "set_config":
        return Finding(Verdict.PIN, "set_config")
    return Finding(Verdict.WRITE, "opaque_query") if name in RUN_QUERIES else _VOLATILE
