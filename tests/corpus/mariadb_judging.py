"""What MariaDB's classifier gets wrong, by what the servers made of each statement."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from globaldb.core.statement import Statement, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from corpus.mariadb_stage import Played

_KEPT: Final = frozenset((Verdict.WRITE, Verdict.PIN))
_NOWHERE: Final = frozenset((Verdict.READ, Verdict.NODE_LOCAL, Verdict.SAME_CONNECTION))
_READING: Final = re.compile(
    r"(?:\s|\(|#[^\n]*\n)*(?:select|with|values|table|explain|show|desc|describe)\b",
    re.IGNORECASE,
)
_TEXTS: Final = re.compile(
    r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`|\#[^\n]*|/\*.*?\*/""",
    re.DOTALL,
)
# A reader runs these without a word, and should not have: found apart from the
# product, by the plainest means there are.
_SILENT: Final = re.compile(
    r"""\b(?:get_lock|release_lock|release_all_locks|is_free_lock|is_used_lock
      |last_insert_id|row_count|found_rows|load_file|nextval|setval|lastval)\s*\(
    | @@(?:session\.|local\.)?(?:identity|last_insert_id)\b
    | (?<![\w@'"`])@[\w`'"] | :=
    | \binto\s+(?:outfile|dumpfile)\b | \bfor\s+share\b | \bin\s+share\s+mode\b
    | \b(?:next|previous)\s+value\s+for\b | \btemporary\b
    | \A\s*(?:flush|handler|xa|check|repair|cache|kill|lock|unlock|backup|do|call)\b
    | \A\s*show\s+(?:count\s*\(\s*\*\s*\)\s*)?(?:warnings|errors)\b""",
    re.IGNORECASE | re.VERBOSE,
)


class Confusion(NamedTuple):
    """How often a classifier was right, and each statement that it got wrong."""

    #: Refused by the reader because they need the writer, and answered by it.
    writer_only: int
    reads: int
    #: The first kind, taken for something that may run on a reader.
    refused: tuple[Played, ...]
    #: Run by the reader although they must not be, taken for a read.
    silent: tuple[Played, ...]
    #: The second kind, kept on the writer, by reason.
    kept: Counter[str]

    def __str__(self) -> str:
        kept = ", ".join(f"{name} {count}" for name, count in self.kept.most_common())
        return (
            f"{len(self.refused)} of {self.writer_only} writer-only statements taken "
            f"for reads, {len(self.silent)} silent ones; {self.kept.total()} of "
            f"{self.reads} reads kept on the writer ({kept})"
        )


def must_not_run_on_a_reader(sql: str) -> bool:
    """Whether *sql* runs on a reader without an error although it should not."""
    return bool(_SILENT.search(_TEXTS.sub("''", sql)))


def confusion(
    played: Iterable[Played], classify: Callable[[str], Statement]
) -> Confusion:
    """Return what *classify* makes of statements that were played."""
    writer_only = reads = 0
    refused, silent = [], []
    kept: Counter[str] = Counter()
    for each in played:
        statement = classify(each.sql)
        must_not = each.silent or must_not_run_on_a_reader(each.sql)
        writer_only += each.reader.read_only
        if each.reader.read_only and statement.verdict in _NOWHERE:
            refused.append(each)
        elif must_not and statement.verdict is Verdict.READ:
            silent.append(each)
        elif not must_not and not each.reader.number and _READING.match(each.sql):
            reads += 1
            if statement.verdict in _KEPT:
                kept[statement.reason] += 1
    return Confusion(writer_only, reads, tuple(refused), tuple(silent), kept)
