"""What became of each of Django's tests, kept where `$DJANGO_SUITE` says."""

from __future__ import annotations

import json
import os
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.test.runner import DiscoverRunner

#: A test with several outcomes (of its parts, or of its end) has the worst.
ORDER = ("passed", "skipped", "expected", "unexpected", "failed", "error")


class RecordingResult(unittest.TextTestResult):
    """Keeps an outcome for each test, by its name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.outcomes: dict[str, str] = {}

    def _keep(self, test: Any, outcome: str) -> None:
        name = test.id()
        known = self.outcomes.get(name, "passed")
        self.outcomes[name] = max(known, outcome, key=ORDER.index)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802 - unittest's
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._keep(test, "failed")

    def stopTestRun(self) -> None:  # noqa: N802 - unittest's
        super().stopTestRun()
        report = Path(json.loads(os.environ["DJANGO_SUITE"])["report"])
        report.write_text(json.dumps(self.outcomes, indent=0, sort_keys=True))


def _adding(name: str, outcome: str) -> Callable[..., None]:
    def add(self: RecordingResult, test: Any, *what: Any) -> None:
        getattr(unittest.TextTestResult, name)(self, test, *what)
        self._keep(test, outcome)

    return add


for _name, _outcome in {
    "addSuccess": "passed",
    "addSkip": "skipped",
    "addExpectedFailure": "expected",
    "addUnexpectedSuccess": "unexpected",
    "addFailure": "failed",
    "addError": "error",
}.items():
    setattr(RecordingResult, _name, _adding(_name, _outcome))


class RecordingRunner(DiscoverRunner):
    """Django's own, that keeps what became of each test."""

    def get_resultclass(self) -> type[unittest.TextTestResult]:
        return RecordingResult
