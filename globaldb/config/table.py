"""The option table of the documentation, generated from the table of options.

``python -m globaldb.config.table docs/configuration.md`` brings the file up to date.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from globaldb.config import libpq, mysql
from globaldb.config.options import OPTIONS, REFUSED
from globaldb.config.values import Kind
from globaldb.core.consistency import Consistency

if TYPE_CHECKING:
    from globaldb.config.option import Option

BEGIN = "<!-- options: generated from globaldb/config/options.py -->"
END = "<!-- end of options -->"


def markdown() -> str:
    """Return the table of all options, and the list of what passes through."""
    rows = [
        "| option | holds | default | allowed | meaning | else from |",
        "|---|---|---|---|---|---|",
        *(row(option) for option in OPTIONS),
    ]
    libpqs = ", ".join(f"`{name}`" for name in libpq.PARAMETERS)
    pymysqls = ", ".join(f"`{name}`" for name in sorted(mysql.PARAMETERS))
    refused = "\n".join(f"* `{name}`: {why}." for name, why in sorted(REFUSED.items()))
    return (
        "\n".join(rows)
        + f"\n\nPassed to libpq as they are: {libpqs}.\n\n"
        + f"For MySQL and MariaDB, as PyMySQL has them: {pymysqls}.\n\n"
        + f"Refused:\n\n{refused}\n"
    )


def row(option: Option) -> str:
    """Return one line of the table."""
    names = ", ".join(f"`{name}`" for name in (option.name, *option.aliases))
    variables = ", ".join(f"`{variable}`" for variable in option.variables)
    cells = [
        names,
        option.kind.value,
        default_of(option),
        allowed(option),
        option.meaning,
        variables,
    ]
    return f"| {' | '.join(cells)} |"


def default_of(option: Option) -> str:
    """Return the default as one would write it."""
    value = option.default
    if value is None or value == ():
        return "none" if option.may_be_none else ""
    if isinstance(value, Consistency):
        return value.value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}{' s' if option.kind is Kind.DURATION else ''}"
    return str(value)


def allowed(option: Option) -> str:
    """Return the limits in words."""
    if option.kind is Kind.CONSISTENCY:
        return "session, global, eventual, off"
    if option.kind is Kind.ENGINE:
        return "postgresql, mysql"
    if option.choices:
        return ", ".join(option.choices)
    if option.minimum is None or option.maximum is None:
        return ""
    unit = " s" if option.kind is Kind.DURATION else ""
    limits = f"{plain(option.minimum)} to {plain(option.maximum)}{unit}"
    return f"{limits}, or none" if option.may_be_none else limits


def plain(number: float) -> str:
    """Return *number* without an exponent."""
    return str(int(number)) if number == int(number) else str(number)


def renewed(document: str) -> str:
    """Return *document* with what stands between the marks generated anew."""
    head, _, rest = document.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{markdown()}\n{END}{tail}"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(renewed(target.read_text(encoding="utf-8")), encoding="utf-8")
