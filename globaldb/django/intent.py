"""Reads that decide about a write: they see what the writer has.

`QuerySet.get_or_create`, ``update_or_create``, ``Model.delete`` and their like ask
Django's router for the database to *write* to before they read. That is the only sign
there is, and it stands until something asks for a database to *read* from.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any

from django.db import router

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Model
    from django.db.models.sql.compiler import SQLCompiler

_about_to_write: ContextVar[bool] = ContextVar("globaldb_about_to_write", default=False)


class WriteIntentRouter:
    """A database router that chooses nothing: it only takes note of what is asked.

    The engines put it in front of ``DATABASE_ROUTERS`` by themselves.
    """

    def db_for_read(self, model: type[Model], **hints: Any) -> None:  # noqa: ARG002 - as Django has it
        """Take note that what is read next is only read."""
        _about_to_write.set(False)

    def db_for_write(self, model: type[Model], **hints: Any) -> None:  # noqa: ARG002 - as Django has it
        """Take note that what is read next decides about a write."""
        _about_to_write.set(True)


def watch_router() -> None:
    """See to it that the router tells what it is asked for."""
    routers = router.routers
    if not any(isinstance(each, WriteIntentRouter) for each in routers):
        # Those behind it may know the answer, and then nobody else is asked.
        routers.insert(0, WriteIntentRouter())


def forget() -> None:
    """Take note that a request ended: what follows is about something else."""
    _about_to_write.set(False)


@contextmanager
def as_intended(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Have what *connection* reads in the block read where it is about to be written."""
    if not _about_to_write.get():
        yield
        return
    connection.ensure_connection()
    with connection.connection.using(route="writer"):
        yield


@cache
def reading(compiler: type[SQLCompiler]) -> type[SQLCompiler]:
    """Return *compiler* as one whose queries are executed `as_intended`.

    Those that write go to the writer whatever anybody intends.
    """
    if compiler.__name__ not in ("SQLCompiler", "SQLAggregateCompiler"):
        return compiler

    def execute_sql(self: Any, *args: Any, **kwargs: Any) -> Any:
        with as_intended(self.connection):
            return compiler.execute_sql(self, *args, **kwargs)

    own = {"execute_sql": execute_sql, "__module__": __name__}
    return type(compiler.__name__, (compiler,), own)


class ReadingAsIntended:
    """What the engines' operations do in their own way."""

    def compiler(self, compiler_name: str) -> type[SQLCompiler]:
        """Return the compiler of that name; its reads run where they are needed."""
        return reading(super().compiler(compiler_name))  # type: ignore[misc]
