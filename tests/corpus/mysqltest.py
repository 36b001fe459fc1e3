"""Cut mysqltest's scripts into the statements they send.

mysqltest's own commands are dropped, and so is every statement made of its variables.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from corpus.scripts import Item, Script
from globaldb.lab.debian import fetched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE: Final = "mariadb-test-data"
FOLDER: Final = "usr/share/mysql/mysql-test"
#: Commands of mysqltest that send the statement behind them.
_SENDING: Final = re.compile(
    r"(?:send|query|query_vertical|query_horizontal|evalp?|reap)\s+", re.IGNORECASE
)
_COMMANDS: Final = frozenset(
    [
        "echo",
        "error",
        "source",
        "let",
        "connection",
        "connect",
        "disconnect",
        "disable_warnings",
        "enable_warnings",
        "sorted_result",
        "partially_sorted_result",
        "replace_result",
        "replace_column",
        "replace_regex",
        "replace_numeric_round",
        "exec",
        "execw",
        "system",
        "perl",
        "remove_file",
        "remove_files_wildcard",
        "copy_file",
        "copy_files_wildcard",
        "move_file",
        "write_file",
        "append_file",
        "cat_file",
        "diff_files",
        "file_exists",
        "mkdir",
        "rmdir",
        "list_files",
        "list_files_write_file",
        "list_files_append_file",
        "chmod",
        "chgrp",
        "send_quit",
        "change_user",
        "dirty_close",
        "reset_connection",
        "ping",
        "reap",
        "skip",
        "die",
        "exit",
        "inc",
        "dec",
        "sleep",
        "real_sleep",
        "require",
        "result",
        "vertical_results",
        "horizontal_results",
        "character_set",
        "send_eval",
        "shutdown_server",
        "send_shutdown",
        "save_master_pos",
        "sync_with_master",
        "sync_slave_with_master",
        "wait_for_slave_to_stop",
        "lowercase_result",
        "timer_start",
        "timer_end",
        "start_timer",
        "end_timer",
        "query_get_value",
        "output",
        "optimizer_trace",
        "query_sorted",
        "assert",
        "expr",
        "kill_server",
        "restart_server",
        "fix_text_file",
        "sync_with_master_gtid",
    ]
)
_SWITCH: Final = re.compile(r"(?:enable|disable)_\w+", re.IGNORECASE)
_BRACE: Final = re.compile(r"(?:if|while)\s*\(|[{}]", re.IGNORECASE)
_VARIABLE: Final = re.compile(r"\$[A-Za-z_]\w*")
_DELIMITER: Final = re.compile(r"(?:--)?\s*delimiter\s+(\S+)\s*(.*)", re.IGNORECASE)
_QUOTED: Final = re.compile(
    r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`""", re.DOTALL
)
_WORD: Final = re.compile(r"\w+")
_HERE_DOCUMENTS: Final = frozenset(("perl", "write_file", "append_file"))


def scripts(*folders: str) -> Iterator[Script]:
    """Yield the scripts of MariaDB's own suite in *folders*, such as ``"main"``."""
    root = fetched(PACKAGE, needed=FOLDER, libraries=False) / FOLDER
    for folder in folders:
        for path in sorted((root / folder).glob("*.test")):
            yield read(path, root)


def read(path: Path, root: Path) -> Script:
    """Return the statements of one file; its name is relative to *root*."""
    text = path.read_bytes().decode(errors="replace")
    name = str(path.relative_to(root).with_suffix(""))
    return Script(name, tuple(map(Item, statements(text))))


def statements(text: str) -> Iterator[str]:
    """Yield what the script sends to its server, in its order."""
    delimiter = ";"
    pending = ""
    lines = iter(text.splitlines())
    for line in lines:
        bare = line.strip()
        if not pending:
            changed = _DELIMITER.match(bare)
            if changed:
                delimiter = _changed(changed[1], delimiter)
            if changed or _sends_nothing(bare, lines):
                continue
        *whole, pending = _cut(f"{pending}\n{line}" if pending else line, delimiter)
        for part in whole:
            yield from _sent(part)
        pending = pending if pending.strip() else ""
    yield from _sent(pending)


def _sends_nothing(line: str, lines: Iterator[str]) -> bool:
    """Whether a new statement does not begin with *line*.

    The text of a document that follows is skipped.
    """
    if _first(line) in _HERE_DOCUMENTS:
        _skip_document(lines, line)
        return True
    return line.startswith(("#", "--")) or not line or bool(_BRACE.match(line))


def _changed(written: str, before: str) -> str:
    """Return the new delimiter; the old one may end the command."""
    if len(written) > len(before) and written.endswith(before):
        return written.removesuffix(before)
    return written


def _first(line: str) -> str:
    word = _WORD.search(line)
    return word[0].lower() if word else ""


def _skip_document(lines: Iterator[str], command: str) -> None:
    words = command.rstrip(";").split()
    end = (
        words[-1]
        if len(words) > 2 or (words[0] == "perl" and len(words) > 1)
        else "EOF"
    )
    for line in lines:
        if line.strip() == end:
            return


def _cut(text: str, delimiter: str) -> Iterator[str]:
    """Yield what stands between delimiters that are in no quotes."""
    start = position = 0
    while (found := text.find(delimiter, position)) >= 0:
        quoted = [m for m in _QUOTED.finditer(text, start) if m.start() < found]
        if quoted and quoted[-1].end() > found:
            position = quoted[-1].end()
        elif (opened := _opens(text[start:found])) and text.find(opened, found) < 0:
            # A quote that ends on a later line.
            break
        else:
            yield text[start:found]
            start = position = found + len(delimiter)
    yield text[start:]


def _opens(text: str) -> str:
    """Return the quote that *text* opens and does not close."""
    rest = re.search(r"['\"`]", _QUOTED.sub("", re.sub(r"(?m)^\s*#.*$", "", text)))
    return rest[0] if rest else ""


def _sent(text: str) -> Iterator[str]:
    sql = text.strip()
    word = _first(sql)
    if sql.startswith("--") or _BRACE.match(sql) or _SWITCH.fullmatch(word):
        return
    sending = _SENDING.match(sql)
    if sending:
        sql = sql[sending.end() :]
    elif word in _COMMANDS or sql.lower() in ("send", "reap"):
        return
    if sql and not _VARIABLE.search(sql):
        yield sql
