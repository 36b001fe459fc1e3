"""Django's own tests go with our engines as with Django's own, but where the page says.

These are the ones that tell where statements run and what belongs together; all of
Django's that know of a database are run by `make django`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from django_suite.differences import documented, judge
from django_suite.running import FAR, LINE, Task, laggard, outcomes, start
from django_suite.selection import MOST_SENSITIVE, SENSITIVE

#: What Django's own backends fail, too, and not run here each time.
STOCK: Final[dict[str, dict[str, str]]] = {
    "postgresql": {},
    "mariadb": {
        # Wants the answer of mysqlclient, not PyMySQL's.
        "backends.mysql.test_schema.SchemaEditorTests.test_quote_value": "failed"
    },
}
#: What is run on each engine, and how many pass at least: a run in which fewer do has
#: not found the tests, or no database.
RUN: Final = {"postgresql": (SENSITIVE, 600), "mariadb": (MOST_SENSITIVE, 400)}
#: Seconds that one run may take on a busy machine; a tenth of it otherwise.
LIMIT: Final = 500
#: Of round trips to the reader beside the tests, which lags. There would be fewer if
#: everything ran at the writer, and what is shown here would be nothing.
LEAST_AT_READER: Final = 200


@pytest.mark.timeout(LIMIT + 100)
@pytest.mark.parametrize("engine", STOCK)
def test_django_sees_no_other_difference_than_the_page_says(
    engine: str, tmp_path: Path
) -> None:
    labels, least = RUN[engine]
    task = Task(LINE, "ours", labels.split(), tmp_path / "ours.json")

    with laggard(engine) as lab:
        with start(lab, task) as run:
            try:
                run.wait(LIMIT)
            finally:
                run.kill()
        near = sum(
            connection.round_trips
            for link in lab.counters()
            if link.client_region == FAR and not link.wide_area
            for connection in link.connections
        )
    ours = outcomes(task)

    judged = judge(ours, STOCK[engine], documented(engine, LINE))
    assert not judged, f"{judged}\n{task.report.with_suffix('.log').read_text()}"
    assert list(ours.values()).count("passed") > least
    assert near > LEAST_AT_READER
