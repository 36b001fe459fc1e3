"""What a classifier gets wrong, by what the servers made of each statement."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from globaldb.core.statement import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from corpus.stage import Played
    from globaldb.core.statement import Statement

    Classifier = Callable[[str], Statement]

_QUERIES: Final = ("select", "with", "values", "table", "explain", "show", "fetch")
_KEPT: Final = frozenset((Verdict.WRITE, Verdict.PIN))
_TEXTS: Final = re.compile(
    r"'[^']*'|\$(\w*)\$.*?\$\1\$|--[^\n]*|/\*.*?\*/", re.DOTALL | re.ASCII
)
# A standby runs these without a word, and should not have: found apart from the
# product, by the plainest means there are.
_SILENT_CALL: Final = re.compile(
    r"""\b(?:pg_(?:try_)?advisory\w+ | currval | lastval | pg_export_snapshot
      | pg_stat_reset\w* | pg_reload_conf | pg_(?:cancel|terminate)_backend
      | pg_(?:create|drop)_\w+_slot | set_config | setseed | pg_rotate_logfile
      | pg_(?:backup|start_backup|stop_backup)\w* | lo_\w+ | loread | lowrite
      | dblink\w* | pg_notify )\s*\(""",
    re.IGNORECASE | re.VERBOSE,
)
_SILENT_COMMAND: Final = re.compile(
    r"""\s*(?:close|fetch|move|unlisten|listen|checkpoint|alter|lock|set|reset|discard
      |load|merge|do|call|prepare\s[^;]*\bas\s+(?:insert|update|delete|merge)
      |declare\b.*\bwith\s+hold|copy\b.*\b(?:to|from)\s+(?:program\b|''))\b""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often a classifier was right, and each statement that it got wrong."""

    #: Refused by the standby because they need the writer, and answered by it.
    writer_only: int
    reads: int
    #: The first kind, taken for a read.
    refused: tuple[Played, ...]
    #: Run by the standby although they must not be, taken for a read.
    silent: tuple[Played, ...]
    #: The second kind, kept on the writer, by reason.
    kept: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        kept = ", ".join(f"{name} {count}" for name, count in self.kept.most_common())
        return (
            f"{len(self.refused)} of {self.writer_only} writer-only statements taken "
            f"for reads, {len(self.silent)} silent ones; {self.kept.total()} of "
            f"{self.reads} reads kept on the writer ({kept})"
        )


def must_not_run_on_a_reader(sql: str) -> bool:
    """Whether *sql* runs on a standby without an error although it should not."""
    plain = _TEXTS.sub("''", sql)
    return bool(_SILENT_CALL.search(plain) or _SILENT_COMMAND.match(plain))


def confusion(played: Iterable[Played], classify: Classifier) -> Confusion:
    """Return what *classify* makes of statements that were played."""
    writer_only = reads = 0
    refused, silent = [], []
    kept: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for each in played:
        if each.standby is None:
            continue
        statement = classify(each.sql)
        writer_only += each.standby.read_only
        if statement.verdict is Verdict.READ:
            if each.standby.read_only:
                refused.append(each)
            elif must_not_run_on_a_reader(each.sql):
                silent.append(each)
        if _answered(each):
            reads += 1
            if statement.verdict in _KEPT:
                kept[statement.reason] += 1
                examples.setdefault(statement.reason, each.sql)
    return Confusion(writer_only, reads, tuple(refused), tuple(silent), kept, examples)


def _answered(played: Played) -> bool:
    """Whether the standby answered a query that nothing speaks against."""
    words = played.sql.lstrip("( \n").lower().split(None, 1)
    return (
        played.standby is not None
        and not played.standby.state
        and bool(words)
        and words[0] in _QUERIES
        and not must_not_run_on_a_reader(played.sql)
    )
