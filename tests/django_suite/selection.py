"""Which of Django's tests are run."""

from __future__ import annotations

from pathlib import Path
from typing import Final

#: No database has a part in them, or they want one that is not here (PostGIS).
LEFT_OUT: Final = """
    admin_default_site admin_scripts bash_completion builtin_server
    conditional_processing csrf_tests decorators deprecation dispatch empty_models
    file_storage file_uploads files gis_tests httpwrappers humanize_tests i18n
    import_error_package logging_tests mail middleware middleware_exceptions no_models
    project_template requests_tests responses settings_tests shortcuts
    signed_cookies_tests signing sphinx staticfiles_tests template_backends
    template_loader template_tests test_exceptions test_runner_apps urlpatterns
    urlpatterns_reverse utils_tests validators version
"""
#: Where it counts what runs where, and what belongs together: for every change.
SENSITIVE: Final = """
    backends basic bulk_create delete_regress force_insert_update get_or_create
    m2m_through_regress migrate_signals multiple_database select_for_update servers
    sessions_tests.tests.DatabaseSessionTests transaction_hooks transactions update
"""
#: Less of it, for engines after the first: Django's own part is the same with each.
MOST_SENSITIVE: Final = """
    backends basic get_or_create multiple_database select_for_update
    sessions_tests.tests.DatabaseSessionTests transaction_hooks transactions update
"""


def everything(tests: Path) -> list[str]:
    """Return the labels below the folder *tests* that are of use to a backend."""
    packages = [each.parent.name for each in tests.glob("*/__init__.py")]
    return sorted(set(packages) - set(LEFT_OUT.split()))
