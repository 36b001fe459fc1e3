"""Which server reads a text, as far as that changes what the text means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Dialect:
    """A server's way of reading.

    A session may change its ``sql_mode`` at any time, so a text that reads differently
    without backslash escapes always gets the graver of its verdicts.
    """

    #: Whether it is MariaDB; MySQL otherwise, unless *version* is ``None`` too.
    mariadb: bool = False
    #: As in ``/*!80034 */``: 80034 is MySQL 8.0.34, 101106 is MariaDB 10.11.6.
    version: int | None = None
    #: Whether ``"x"`` is a name. A call or a table is seen in it either way.
    ansi_quotes: bool = False
    #: Whether a backslash in a text escapes.
    backslash_escapes: bool = True


#: A server of which nothing is known.
MYSQL: Final = Dialect()
