"""What tables there are, and how they are made: the writer is asked.

Whoever asks is about to change them, or to build on them: no old answer will do.
``manage.py flush`` would leave alone what was migrated a moment ago.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.backends.base.introspection import BaseDatabaseIntrospection

_Introspection = TypeVar("_Introspection", bound="type[BaseDatabaseIntrospection]")

#: What takes a cursor and asks with it; the rest calls these.
_ASKING: Final = (
    "get_constraints",
    "get_primary_key_columns",
    "get_relations",
    "get_sequences",
    "get_storage_engine",
    "get_table_description",
    "get_table_list",
)


def asking_writer(introspection: _Introspection) -> _Introspection:
    """Have a class of Django's ask the writer, wherever it would be asked."""
    for name in _ASKING:
        ask = getattr(introspection, name, None)
        if ask is not None:
            setattr(introspection, name, _asking_writer(ask))
    return introspection


def _asking_writer(ask: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(ask)
    def asked(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self.connection.connection.using(route="writer"):
            return ask(self, *args, **kwargs)

    return asked
