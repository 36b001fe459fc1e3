"""Users' sessions in the database, of which each change is one round trip.

``SESSION_ENGINE = "globaldb.django.sessions"`` uses the table and the model of
``django.contrib.sessions.backends.db``: either may take the other's place at any time.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import CreateError, UpdateError
from django.db import DatabaseError, IntegrityError, connections, router, transaction

if TYPE_CHECKING:
    from collections.abc import Callable


class SessionStore(db.SessionStore):
    """Django's own, but for how a session is saved.

    A row is inserted or updated outside a transaction of its own: one statement needs
    none. And a session that gets a new key, as when a user logs in, is inserted when it
    is saved: not empty first, to be filled at the end of the request.
    """

    if TYPE_CHECKING:
        # Django's, of which its stubs do not tell.
        _session: dict[str, Any]
        _get_session: Callable[..., dict[str, Any]]
        _get_new_session_key: Callable[[], str]

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(session_key)
        #: Whether there is a key, and no row yet.
        self._unsaved = False

    def cycle_key(self) -> None:
        """Give the session a new key; its row comes with the next save."""
        data, key = self._session, self.session_key
        self._session_key = self._get_new_session_key()
        self._session_cache = data
        self._unsaved = self.modified = True
        if key:
            self.delete(key)

    def save(self, must_create: bool = False) -> None:  # noqa: FBT001, FBT002 - Django's
        """Insert or update the row.

        Raises ``CreateError`` where there is one that should not be, and ``UpdateError``
        where there is none any more.
        """
        if self.session_key is None:
            self.create()
            return
        must_create = must_create or self._unsaved
        row = self.create_model_instance(self._get_session(no_load=must_create))
        using = router.db_for_write(self.model, instance=row)
        try:
            with _apart(using):
                row.save(
                    force_insert=must_create, force_update=not must_create, using=using
                )
        except IntegrityError:
            if must_create:
                raise CreateError from None
            raise
        except DatabaseError:
            if not must_create:
                raise UpdateError from None
            raise
        self._unsaved = False

    async def acycle_key(self) -> None:
        """Do what `cycle_key` does."""
        await sync_to_async(self.cycle_key)()

    async def asave(self, must_create: bool = False) -> None:  # noqa: FBT001, FBT002 - Django's
        """Do what `save` does."""
        await sync_to_async(self.save)(must_create)


def _apart(using: str) -> Any:
    """Let a transaction go on in which the statement fails; begin none for it."""
    inside = connections[using].in_atomic_block
    return transaction.atomic(using=using) if inside else nullcontext()
