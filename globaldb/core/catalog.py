"""What a database says about its own objects, and no text shows.

A function that writes looks like one that reads, and so does a view over it. The
catalog knows; whatever it does not list stays unknown, and unknown means writer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from globaldb.core.findings import Finding


@dataclass(frozen=True, slots=True)
class Catalog:
    """Findings by name; immutable, so that every thread may read it.

    A name is folded as the server folds it. Each object stands under
    ``"schema.name"`` and under ``"name"``; where several share a name (schemas,
    overloads), the gravest finding stands there.
    """

    #: Every routine that is not the server's own, those that only read too.
    functions: Mapping[str, Finding] = field(default_factory=dict)
    #: The tables and views that are more than a read to read; all others are left out.
    relations: Mapping[str, Finding] = field(default_factory=dict)
    #: The operators that are more than a read to use, by their sign.
    operators: Mapping[str, Finding] = field(default_factory=dict)

    def function(self, schema: str, name: str) -> Finding | None:
        """Return what calling the function does; ``None`` when it is not known.

        *schema* is empty where none was written.
        """
        return self.functions.get(f"{schema}.{name}" if schema else name)

    def relation(self, schema: str, name: str) -> Finding | None:
        """Return what reading the table or view does beyond a read, if anything."""
        return self.relations.get(f"{schema}.{name}" if schema else name)

    def operator(self, sign: str) -> Finding | None:
        """Return what the operator does beyond computing, if anything."""
        return self.operators.get(sign)


#: Nothing is known.
EMPTY: Final = Catalog()
