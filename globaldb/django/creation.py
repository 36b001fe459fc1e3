"""Databases for tests: made, used and dropped at the writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from django.db.backends.base.creation import BaseDatabaseCreation

if TYPE_CHECKING:
    from globaldb.django.wrapper import GlobaldbWrapper


class GlobaldbCreation(BaseDatabaseCreation):
    """The part of a ``DatabaseCreation`` that knows of pools and readers."""

    #: What `_destroy_test_db` closes the connection with, told to Django (6.1) itself.
    destroy_test_db_connection_close_method: ClassVar[str | None] = "close_cluster"

    @property
    def _wrapper(self) -> GlobaldbWrapper:
        return cast("GlobaldbWrapper", self.connection)

    def _create_test_db(self, *args: Any, **kwargs: Any) -> str:
        # Tests read at the writer unless told not to, from the first connection on.
        self._wrapper.is_tested(now=True)
        name: str = super()._create_test_db(*args, **kwargs)  # type: ignore[misc]
        return name

    def setup_worker_connection(self, _worker_id: int) -> None:
        """Use the copy of the database that is this process's."""
        self._wrapper.is_tested(now=True)
        super().setup_worker_connection(_worker_id)

    def _clone_test_db(self, *args: Any, **kwargs: Any) -> None:
        # A database that somebody is connected to cannot be copied.
        self._wrapper.close_cluster()
        super()._clone_test_db(*args, **kwargs)  # type: ignore[misc]

    def _destroy_test_db(self, test_database_name: str, verbosity: int) -> None:
        # Nor dropped.
        self._wrapper.close_cluster()
        self._wrapper.is_tested(now=False)
        super()._destroy_test_db(test_database_name, verbosity)  # type: ignore[misc]
