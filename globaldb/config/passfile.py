"""The password file of libpq: which password belongs to which node."""

from __future__ import annotations

import logging
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from globaldb.config.secret import Secret
from globaldb.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from globaldb.config.address import NodeAddress

log = logging.getLogger("globaldb.config")

#: Socket folders that the password file calls "localhost".
SOCKET_FOLDERS = ("/var/run/postgresql", "/tmp")  # noqa: S108 - libpq's own default


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: what it is for (``*`` matches all), and the password."""

    host: str
    port: str
    database: str
    user: str
    password: Secret

    def fits(self, wanted: tuple[str, str, str, str]) -> bool:
        """Whether this line is for *wanted*: host, port, database and user."""
        pattern = (self.host, self.port, self.database, self.user)
        return all(p in {"*", w} for p, w in zip(pattern, wanted, strict=True))


@dataclass(frozen=True, slots=True)
class PassFile:
    """All lines of a password file; the first that fits wins."""

    entries: tuple[Entry, ...] = ()

    def password(self, node: NodeAddress, database: str, user: str) -> Secret | None:
        """Return the password for *user* in *database* on *node*, if there is one."""
        host = "localhost" if node.host in SOCKET_FOLDERS else node.host
        wanted = (host, str(node.port), database, user)
        for entry in self.entries:
            if entry.fits(wanted):
                return entry.password
        return None


def read_passfile(path: Path) -> tuple[PassFile, str | None]:
    """Return the password file at *path*, and why it was ignored if it was.

    As with libpq, a missing file is an empty one, and a file that others may read is
    ignored.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return PassFile(), None
    problem = problem_of(mode)
    if problem is not None:
        note = f"password file {path} is ignored: {problem}"
        log.warning("%s", note, extra={"event": "passfile_ignored"})
        return PassFile(), note
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"cannot read {path}: {type(error).__name__}"
        ) from None
    return parse_passfile(text), None


def problem_of(mode: int) -> str | None:
    """Return what is wrong with a file of this *mode*, as libpq sees it."""
    if not stat.S_ISREG(mode):
        return "it is not a plain file"
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return f"others may access it (mode {stat.S_IMODE(mode):04o}); chmod 0600 it"
    return None


def parse_passfile(text: str) -> PassFile:
    """Read lines ``host:port:database:user:password``; a backslash escapes : and itself."""
    entries = []
    for line in text.splitlines():
        fields = split_line(line)
        if line.startswith("#") or len(fields) < 5:
            continue
        host, port, database, user, password, *_ = fields
        entries.append(Entry(host, port, database, user, Secret(password)))
    return PassFile(tuple(entries))


def split_line(line: str) -> list[str]:
    """Split *line* at its unescaped colons, and undo the escapes."""
    fields = [""]
    characters = iter(line)
    for character in characters:
        if character == ":":
            fields.append("")
        elif character == "\\":
            fields[-1] += next(characters, "\\")
        else:
            fields[-1] += character
    return fields
