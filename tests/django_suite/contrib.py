"""A PostgreSQL with every extension and collation that Django's tests ask for.

``python -m django_suite.contrib`` prints the folder of its programs: Debian's, unpacked
and not installed. The wheels with servers have no ICU, and not all extensions.
"""

from __future__ import annotations

from typing import Final

from django_suite.unpacking import unpack

MAJOR: Final = 17


def programs() -> str:
    """Return the folder, fetched the first time."""
    place = f"usr/lib/postgresql/{MAJOR}/bin"
    found = unpack(f"postgresql-{MAJOR}", f"{place}/*")
    return str(found[0].parent)


if __name__ == "__main__":
    print(programs())
