"""Reads that decide about a write: they see what the writer has.

`QuerySet.get_or_create`, ``update_or_create``, ``Model.delete`` and their like ask
Django's router for the database to *write* to before they read. That is the only sign
there is, and it stands until something asks for a database to *read* from. Django's
cache in the database asks in the same way, and then reads by a cursor of its own.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from django.db import router

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Model
    from django.db.models.sql.compiler import SQLCompiler

#: Who asks where it would write, and writes nothing: the admin, for a page that shows what
#: would be deleted. Where that is confirmed it decides, with the same function.
_SHOWING: Final = "get_deleted_objects"
_SAFE: Final = ("GET", "HEAD")

#: The label of what asks for Django's cache in the database, which has no model.
_CACHE: Final = "django_cache"

_about_to_write: ContextVar[bool] = ContextVar("globaldb_about_to_write", default=False)
_about_to_cache: ContextVar[bool] = ContextVar("globaldb_about_to_cache", default=False)


class WriteIntentRouter:
    """A database router that chooses nothing: it only takes note of what is asked.

    The engines put it in front of ``DATABASE_ROUTERS`` by themselves.
    """

    def db_for_read(self, model: type[Model], **hints: Any) -> None:  # noqa: ARG002 - as Django has it
        """Take note that what is read next is only read."""
        forget()

    def db_for_write(self, model: type[Model], **hints: Any) -> None:  # noqa: ARG002 - as Django has it
        """Take note that what is read next decides about a write."""
        # Django's router, and who has asked it.
        asking = sys._getframe(2)  # noqa: SLF001 - Django tells no other way
        shows = asking.f_code.co_name == _SHOWING and (
            getattr(asking.f_locals.get("request"), "method", None) in _SAFE
        )
        _about_to_write.set(not shows)
        _about_to_cache.set(model._meta.app_label == _CACHE)  # noqa: SLF001 - Django's own name for it


def watch_router() -> None:
    """See to it that the router tells what it is asked for."""
    routers = router.routers
    if not (routers and type(routers[0]) is WriteIntentRouter):
        # Those behind it may know the answer, and then nobody else is asked.
        routers.insert(0, WriteIntentRouter())
        # Tests have other routers for a while: nobody told when it was over.
        forget()


def forget() -> None:
    """Take note that a request ended: what follows is about something else."""
    _about_to_write.set(False)
    _about_to_cache.set(False)


def takes_cache() -> bool:
    """Return whether the cursor that is asked for is to change Django's cache."""
    taken = _about_to_cache.get()
    if taken:
        # It is the next one: others have nothing to do with it.
        _about_to_cache.set(False)
    return taken


class CachingCursor:
    """A cursor of Django's cache in the database, which is about to change it.

    In a transaction it looks whether there is a row, and then inserts or updates one. It
    says nothing when that fails, as after an old answer: the value would be lost.
    """

    def __init__(self, wrapper: BaseDatabaseWrapper, cursor: Any) -> None:
        self._wrapper, self._cursor = wrapper, cursor

    def execute(self, *args: Any) -> Any:
        """Execute a statement, in a transaction at the writer."""
        wrapper = self._wrapper
        if wrapper.autocommit:
            return self._cursor.execute(*args)
        with wrapper.connection.using(route="writer"):
            return self._cursor.execute(*args)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cursor)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


@contextmanager
def as_intended(
    connection: BaseDatabaseWrapper, model: type[Model] | None
) -> Iterator[None]:
    """Have what *connection* reads of *model* read where it is about to be written."""
    watch_router()
    if not (_about_to_write.get() or _is_about_migrations(model)):
        yield
        return
    if connection.connection is None:
        # Whoever forbids queries forbids cursors, and says so.
        connection.cursor().close()
    with connection.connection.using(route="writer"):
        yield


def _is_about_migrations(model: type[Model] | None) -> bool:
    """Whether the rows of *model* say what was migrated: no old answer will do."""
    return model is not None and model._meta.app_label == "migrations"  # noqa: SLF001 - Django's own name for it


@cache
def reading(compiler: type[SQLCompiler]) -> type[SQLCompiler]:
    """Return *compiler* as one whose queries are executed `as_intended`.

    Those that write go to the writer whatever anybody intends.
    """
    if compiler.__name__ not in ("SQLCompiler", "SQLAggregateCompiler"):
        return compiler

    def execute_sql(self: Any, *args: Any, **kwargs: Any) -> Any:
        with as_intended(self.connection, self.query.model):
            return compiler.execute_sql(self, *args, **kwargs)

    own = {"execute_sql": execute_sql, "__module__": __name__}
    return type(compiler.__name__, (compiler,), own)


class ReadingAsIntended:
    """What the engines' operations do in their own way."""

    def compiler(self, compiler_name: str) -> type[SQLCompiler]:
        """Return the compiler of that name; its reads run where they are needed."""
        return reading(super().compiler(compiler_name))  # type: ignore[misc]
