"""The pandas example: it reads next door, writes where writes belong, and sees both."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextvars import Context
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from lab_client import until
from sqlalchemy import Engine, create_engine, text

import globaldb
from benchmarks.served import EXAMPLES
from benchmarks.sites import Place
from pandas_report.report import add_sales, make_report, read_report, sold

PROGRAM = EXAMPLES / "pandas_report" / "report.py"
DAYS = pd.date_range("2026-01-01", periods=60)
SALES = pd.DataFrame(
    {"day": DAYS, "product": ["tea", "cake"] * 30, "amount": range(60)}
)


@pytest.fixture(scope="module")
def connected(place: Place) -> Iterator[Engine]:
    """The engine of a program, with tables, and with nothing going on beside it."""
    engine = create_engine(place.routed)
    cluster = place.rest(engine)
    add_sales(engine, SALES)
    make_report(engine)
    yield engine
    cluster.close()


@pytest.fixture
def program(connected: Engine) -> Engine:
    """The engine of a program that has sold `SALES` and made its report of them."""
    with connected.begin() as connection:
        connection.execute(text("DELETE FROM sales"))
    add_sales(connected, SALES)
    make_report(connected)
    return connected


def wide(place: Place, work: Callable[[], object]) -> list[int]:
    return [cost.wide for cost in place.count(work)]


def test_the_report_adds_up(program: Engine) -> None:
    report = make_report(program)

    keys = [SALES["day"].dt.strftime("%Y-%m").rename("month"), "product"]
    expected = SALES.groupby(keys, as_index=False)["amount"].sum()
    pd.testing.assert_frame_equal(report, expected, check_dtype=False)


def test_a_query_is_read_next_door(place: Place, program: Engine) -> None:
    assert wide(place, lambda: read_report(program)) == [0] * 10


def test_rows_are_streamed_next_door(place: Place, program: Engine) -> None:
    parts = []

    costs = wide(place, lambda: parts.append([len(p) for p in sold(program, 25)]))

    assert costs == [0] * 10
    assert parts == [[25, 25, 10]] * 10


def test_what_was_written_is_read_although_the_reader_lacks_it(
    program: Engine, lagging: None
) -> None:
    before = read_report(program)["amount"].sum()

    add_sales(program, SALES.head(1).assign(amount=1000))
    report = make_report(program)

    assert report["amount"].sum() == before + 1000
    others = partial(Context().run, read_report, program)
    until(lambda: others()["amount"].sum() == before, what="lag")


def test_a_connection_works_and_pandas_warns_of_it(
    place: Place, program: Engine
) -> None:
    place.replication.settle()
    with globaldb.connect(place.url) as connection:
        with pytest.warns(UserWarning, match="pandas only supports SQLAlchemy"):
            found = pd.read_sql("SELECT count(*) AS many FROM sales", connection)

        assert found["many"][0] >= len(SALES)
        assert connection.last_route.role.value == "reader"


def test_the_program_adds_a_file_and_prints_the_report(
    place: Place, program: Engine, tmp_path: Path
) -> None:
    file = tmp_path / "sales.csv"
    file.write_text("day,product,amount\n2027-05-01,jam,7\n")

    done = subprocess.run(
        [sys.executable, "-W", "error", str(PROGRAM), str(file)],
        env={**os.environ, "DATABASE_URL": place.routed},
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )

    assert done.returncode == 0, done.stderr
    assert "2027-05     jam       7\n" in done.stdout
