"""A long history is written down cheaply, and checked in about linear time."""

from __future__ import annotations

import pickle
import time
from collections import Counter
from random import Random

from globaldb.verify import History, Kind, Operation, check
from globaldb.verify.recorder import Recorder

REGISTERS, SESSIONS = 64, 24


def long_history(length: int) -> History:
    """Sessions that write and read, all at one server."""
    random = Random(1)
    versions: Counter[str] = Counter()
    values: dict[str, int] = {}
    recorder = Recorder()
    pages = [recorder.page() for _ in range(SESSIONS)]
    for number in range(1, length + 1):
        session = random.randrange(SESSIONS)
        key = f"r{random.randrange(REGISTERS)}"
        kind = Kind.WRITE if random.random() < 0.25 else Kind.READ
        if kind is Kind.WRITE:
            versions[key] += 1
            values[key] = number
        about = {"key": key, "version": versions[key], "value": values.get(key, 0)}
        pages[session].append(
            Operation(session, kind, number, number + 0.5, mode="global", **about)
        )
    final = {key: (versions[key], values[key]) for key in versions}
    return History(recorder.operations(), final)


def test_200_000_operations_are_checked_within_half_a_minute():
    history = long_history(200_000)
    started = time.process_time()
    assert check(history).violations == []
    assert time.process_time() - started < 30


def test_a_violation_is_found_at_the_end_of_a_long_history():
    history = long_history(20_000)
    last = history.operations[-1]
    stale = last._replace(kind=Kind.READ, began=9e9, ended=9e9, version=0, value=0)
    found = check(History([*history.operations, stale], history.final))
    assert found.violations


def test_what_a_process_has_noted_reaches_another_one():
    history = long_history(1000)
    assert pickle.loads(pickle.dumps(history.operations)) == history.operations
