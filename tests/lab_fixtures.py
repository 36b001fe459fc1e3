"""Labs for tests: one that they share, and fresh ones for those that break them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from globaldb.lab import Lab, LabSpec

FreshLab = Callable[[LabSpec], Lab]


@pytest.fixture(scope="session")
def shared_lab() -> Iterator[Lab]:
    """The lab of the whole run, as the last test left it; use `lab` instead."""
    with Lab.start(LabSpec()) as lab:
        yield lab


@pytest.fixture
def lab(shared_lab: Lab) -> Lab:
    """A lab with the default regions, healed, at rest, with its counters at nothing.

    Other tests use it too: leave its writer where it is.
    """
    shared_lab.restore()
    shared_lab.reset_counters()
    return shared_lab


@pytest.fixture
def fresh_lab() -> Iterator[FreshLab]:
    """Start labs that this test alone uses, and may break; they end with it."""
    with contextlib.ExitStack() as stack:
        yield lambda spec: stack.enter_context(Lab.start(spec))
