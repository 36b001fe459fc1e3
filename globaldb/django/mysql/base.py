"""Django's MySQL backend, whose connections find their node."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pymysql
from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.mysql import (
    base,
    client,
    creation,
    introspection,
    operations,
)
from django.db.backends.utils import typecast_time
from django.utils.asyncio import async_unsafe
from pymysql.constants import FIELD_TYPE
from pymysql.converters import decoders

from globaldb import mysql
from globaldb.django.client import GlobaldbClient, at_writer
from globaldb.django.creation import GlobaldbCreation
from globaldb.django.intent import ReadingAsIntended
from globaldb.django.introspection import asking_writer
from globaldb.django.wrapper import GlobaldbWrapper

if TYPE_CHECKING:
    from collections.abc import Iterator

#: With these a transaction may read at a reader before it writes.
_AT_READERS: Final = ("read committed", "read uncommitted")
_DECODERS: Final[dict[int, Any]] = {**decoders, FIELD_TYPE.TIME: typecast_time}


class CursorWrapper(base.CursorWrapper):
    """Django's own, which knows the errors of PyMySQL."""

    def execute(self, query: Any, args: Any = None) -> Any:
        """Execute a statement where it belongs."""
        with _integrity(self.codes_for_integrityerror):
            return self.cursor.execute(query, args)

    def executemany(self, query: Any, args: Any) -> Any:
        """Execute a statement with many sets of values."""
        with _integrity(self.codes_for_integrityerror):
            return self.cursor.executemany(query, args)


@contextmanager
def _integrity(codes: tuple[int, ...]) -> Iterator[None]:
    """Raise as `IntegrityError` what the server calls by another name."""
    try:
        yield
    except pymysql.OperationalError as error:
        if error.args and error.args[0] in codes:
            raise IntegrityError(*error.args) from error
        raise


class DatabaseClient(GlobaldbClient, client.DatabaseClient):
    """``mysql`` at the writer."""


class DatabaseCreation(GlobaldbCreation, creation.DatabaseCreation):
    """Databases for tests."""

    def _clone_db(self, source_database_name: str, target_database_name: str) -> None:
        wrapper = self.connection
        before = wrapper.settings_dict
        # Django's own looks there for where mysqldump and mysql have to go.
        wrapper.settings_dict = at_writer(before)
        try:
            super()._clone_db(source_database_name, target_database_name)  # type: ignore[misc]
        finally:
            wrapper.settings_dict = before


@asking_writer
class DatabaseIntrospection(introspection.DatabaseIntrospection):
    """Django's own, but that it asks the writer."""


class DatabaseOperations(ReadingAsIntended, operations.DatabaseOperations):
    """Django's own, but for where reads run that decide about a write."""


class DatabaseWrapper(GlobaldbWrapper, base.DatabaseWrapper):
    """One alias: each statement finds its node by itself."""

    Database = mysql
    client_class = DatabaseClient  # type: ignore[mutable-override]
    creation_class = DatabaseCreation  # type: ignore[mutable-override]
    introspection_class = DatabaseIntrospection  # type: ignore[mutable-override]
    ops_class = DatabaseOperations  # type: ignore[mutable-override]

    def get_connection_params(self) -> dict[str, Any]:
        """Return what PyMySQL would get, and ``globaldb`` with the options of ours."""
        params = {"engine": "mysql", **super().get_connection_params()}
        # They are the connection's own: a converter of values would hide from it that
        # a text is the same whatever values are put into it.
        params.pop("conv", None)
        if self.isolation_level in _AT_READERS:
            params.setdefault("init_command", self._isolation)
        return params

    @property
    def _isolation(self) -> str:
        level = (self.isolation_level or "").upper()
        return f"SET SESSION TRANSACTION ISOLATION LEVEL {level}"

    @async_unsafe
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Begin a session; costs no round trip once the pools are warm."""
        connection = self.open_session(conn_params)
        connection.decoders = dict(_DECODERS)
        return connection

    def _close(self) -> None:
        # In a forked child it is, where the parent was in a transaction.
        if self.connection is not None and self.connection.open:
            super()._close()  # type: ignore[misc]

    def init_connection_state(self) -> None:
        """Set what Django relies on, as far as physical connections do not begin so."""
        BaseDatabaseWrapper.init_connection_state(self)
        settings = []
        if self.features.is_sql_auto_is_null_enabled:
            settings.append("SET SQL_AUTO_IS_NULL = 0")
        begun = self.get_connection_params().get("init_command")
        if self.isolation_level and begun != self._isolation:
            # The session has to know: more than READ COMMITTED is for the writer.
            settings.append(self._isolation)
        elif self.isolation_level and self.queries_logged:
            # Django's own would have been told here.
            self.queries_log.append({"sql": self._isolation, "time": "0.000"})
        for statement in settings:
            with self.cursor() as cursor:
                cursor.execute(statement)

    @async_unsafe
    def create_cursor(self, name: str | None = None) -> Any:  # noqa: ARG002 - as Django has it
        """Return a cursor; PyMySQL has none on the server that Django would use."""
        return CursorWrapper(self.connection.cursor())
