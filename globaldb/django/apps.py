"""The application ``globaldb.django``: system checks and ``manage.py globaldb_status``."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import Tags, register

from globaldb.django.checks import check_databases, check_middleware


class GlobaldbConfig(AppConfig):
    """What ``INSTALLED_APPS`` gets; the engines work without it, too."""

    name = "globaldb.django"
    label = "globaldb"

    def ready(self) -> None:
        """Register the system checks."""
        register(check_databases)
        register(check_middleware, Tags.security)
