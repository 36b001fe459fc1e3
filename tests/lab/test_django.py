"""Django's engines on a lab: what `tests/django_site` saw in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks.comparison import LOCAL_RTT, REGION, RTT
from globaldb.lab import Lab

SITE = Path(__file__).parents[1] / "django_site" / "observe.py"
#: Seconds that the site may take on a busy machine; a tenth of it otherwise.
LIMIT = 100

ENGINES = ("postgresql", "mariadb")


@pytest.fixture(scope="module")
def sites(shared_labs: Callable[[str], Lab]) -> Callable[[str], dict[str, Any]]:
    """What a site saw, by engine."""

    @cache
    def look(engine: str) -> dict[str, Any]:
        lab = shared_labs(engine)
        lab.restore()
        regions = list(lab.spec.regions)
        for index, region in enumerate(regions):
            for other in regions[:index]:
                lab.latency(region, other, RTT)
        lab.latency(REGION, REGION, LOCAL_RTT)
        done = subprocess.run(
            [sys.executable, str(SITE), lab.name],
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        lab.restore()
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return look


@pytest.fixture(params=ENGINES)
def saw(
    sites: Callable[[str], dict[str, Any]], request: pytest.FixtureRequest
) -> Callable[[str], Any]:
    """One observation of the site's, of each engine in turn."""
    found = sites(request.param)

    def of(name: str) -> Any:
        seen = found[name]
        if isinstance(seen, dict) and "failed" in seen:
            pytest.fail(seen["failed"])
        return seen

    return of


Saw = Callable[[str], Any]


@pytest.mark.parametrize("atomic_requests", ["off", "on"])
def test_a_page_that_only_reads_makes_no_wide_area_trip(
    saw: Saw, atomic_requests: str
) -> None:
    costs = saw("pages")[f"read {atomic_requests}"]

    assert [wide for wide, _ in costs] == [0, 0, 0, 0]


def test_a_page_that_saves_a_form_makes_one_wide_area_trip(saw: Saw) -> None:
    assert [wide for wide, _ in saw("pages")["form off"]] == [1, 1, 1, 1]


def test_with_atomic_requests_it_makes_two_however_often(saw: Saw) -> None:
    assert [wide for wide, _ in saw("pages")["form on"]] == [2, 2, 2, 2]


@pytest.mark.parametrize("atomic_requests", ["off", "on"])
def test_what_is_read_with_iterator_makes_no_wide_area_trip(
    saw: Saw, atomic_requests: str
) -> None:
    """Every choice of related objects in a form is."""
    costs = saw("walking")[atomic_requests]

    assert [wide for wide, _ in costs] == [0, 0, 0]


def test_iterator_keeps_the_promises_of_a_read(saw: Saw) -> None:
    seen = saw("walking")

    assert seen["again"] == [True, True]
    assert seen["after_a_write"]
    assert seen["own_write"]
    assert seen["own_write_outside"]
    assert seen["lag"]
    assert seen["verified"]


def test_more_rows_than_can_be_compared_are_read_at_the_writer(
    saw: Saw, request: pytest.FixtureRequest
) -> None:
    postgresql = "postgresql" in request.node.name
    assert saw("walking_far") == [True, "writer" if postgresql else "reader"]


def test_a_page_shows_what_it_should(saw: Saw) -> None:
    page = saw("page")

    assert page["status"] == "200 OK"
    assert (page["items"], page["ordered"]) == (["cake", "tea"], False)


def test_savepoints_cost_no_trip(saw: Saw) -> None:
    assert [wide for wide, _ in saw("savepoints")["cost"]] == [3, 3]


def test_statements_that_travel_with_others_are_logged_too(saw: Saw) -> None:
    words = [sql.split()[0] for sql in saw("savepoints")["log"]]

    inner = ["SAVEPOINT", "UPDATE", "RELEASE"]
    assert words == ["BEGIN", *inner, *inner, "COMMIT"]


def test_what_is_undone_to_a_savepoint_is_undone_alone(saw: Saw) -> None:
    assert saw("savepoints")["price"] == 8


def test_select_for_update_runs_at_the_writer(saw: Saw) -> None:
    assert saw("locking") == {"writer": 2}


def test_reads_that_decide_about_a_write_see_what_the_reader_lacks(saw: Saw) -> None:
    seen = saw("about_to_write")

    assert not seen["reader_knows"]
    assert seen["get_or_create"] == {"writer": 1}
    assert seen["delete"] == ["writer"]
    assert (seen["created"], seen["updated"], seen["deleted"]) == (False, True, 2)


def test_migrations_read_and_write_at_the_writer(saw: Saw) -> None:
    seen = saw("migrating")

    assert "reader" not in seen
    assert {"shop_item", "shop_order", "django_session"} <= set(seen["tables"])


def test_test_databases_live_at_the_writer(saw: Saw) -> None:
    name, made, used, found, afterwards = saw("test_database")

    assert name.startswith("test_")
    assert (made.keys(), used.keys()) == ({"writer"}, {"writer"})
    assert (found, afterwards) == ("of a test", name.removeprefix("test_"))


def test_the_sessions_of_a_test_run_see_what_those_before_wrote(saw: Saw) -> None:
    assert saw("sessions_of_a_test_run") == "77.00"


def test_the_settings_of_a_test_run_can_be_written_down(saw: Saw) -> None:
    assert saw("settings_of_a_test_run")


def test_the_page_behind_a_redirect_shows_what_was_written(saw: Saw) -> None:
    seen = saw("causality")

    assert seen["status"] == "302 Found"
    assert seen["without"], "the reader did not lag: this shows nothing"
    assert seen["with"] == "41.00"


def test_the_cookie_is_signed_and_kept_from_scripts(saw: Saw) -> None:
    seen = saw("causality")

    assert seen["forged"], "a token that was made up was believed"
    for word in ("HttpOnly", "Secure", "SameSite=Lax", "Max-Age=60"):
        assert word in seen["cookie"]
    assert seen["caches"] == "private"


def test_a_cookie_that_browsers_would_drop_is_not_set(saw: Saw) -> None:
    assert saw("a_cookie_that_is_too_long") == [["globaldb_token"], []]


def test_a_request_that_only_reads_sets_no_cookie(saw: Saw) -> None:
    assert saw("page")["cookie"] is None
    assert saw("causality")["again"] is None


def test_async_views_tell_of_their_writes_alone(saw: Saw) -> None:
    assert saw("causality_of_async_views") == {"reads": False, "writes": True}


def test_each_request_is_a_session_whatever_conn_max_age_says(saw: Saw) -> None:
    assert saw("connections_of_requests") == {"sessions": 2, "usable": True}


def test_values_come_back_as_django_has_them(saw: Saw) -> None:
    assert saw("values") == ["09:30:00", True, {"a": [1, None]}, "1.00", ["all"]]


def test_errors_are_djangos_ours_and_the_drivers(saw: Saw) -> None:
    assert saw("errors") is True


def test_assert_routes_counts_and_tells(saw: Saw) -> None:
    first, told = saw("routes_asserted")

    assert first == "reader (nearest_reader)"
    assert told.startswith("1 statements ran at the reader, 0 were expected:\nwriter")


def test_globaldb_status_shows_every_node(saw: Saw) -> None:
    roles, words = saw("status")

    assert roles == ["reader", "reader", "reader", "writer"]
    assert words == ["node", "region"]


def test_inspectdb_finds_the_tables(saw: Saw) -> None:
    assert "class ShopItem(models.Model)" in saw("introspected")


def test_commands_find_what_was_migrated_a_moment_ago(saw: Saw) -> None:
    assert saw("after_others") == [True, True]


def test_a_forked_child_may_close_its_connections(saw: Saw) -> None:
    assert saw("forked") == [0, {"shop.Item": 1}]


def test_dbshell_opens_at_the_writer(saw: Saw) -> None:
    program, at_writer, password_hidden = saw("shell")

    assert program in ("psql", "mysql")
    assert at_writer
    assert password_hidden


def test_checks_say_what_is_wrong_before_it_goes_wrong(saw: Saw) -> None:
    seen = saw("checks")

    # The site has two aliases for one database.
    assert seen["as it is"] == ["globaldb.W001"]
    assert seen["no middleware"] == ["globaldb.W001", "globaldb.W002"]
    assert seen["misspelt"] == ["globaldb.E001"]


def test_importing_globaldb_imports_no_django() -> None:
    program = "import sys, globaldb; sys.exit('django' in sys.modules)"

    subprocess.run([sys.executable, "-c", program], check=True)
