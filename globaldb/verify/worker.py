"""One process of a run: its share of the sessions, a thread each."""

from __future__ import annotations

import logging
import signal
import threading
import traceback
from collections import deque
from contextlib import ExitStack, suppress
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Final

import globaldb
from globaldb.verify.recorder import Recorder
from globaldb.verify.witness import Company, Told
from globaldb.verify.workload import Player

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from globaldb.verify.history import Operation
    from globaldb.verify.plan import Plan

#: Seconds that a statement may take to return when the run is over.
PATIENCE: Final = 60.0
#: Seconds between two reports of progress.
_TICK: Final = 0.5
#: Sessions, values and tokens of each process are numbered apart.
_APART: Final = 1_000_000
_TOKENS_KEPT: Final = 64


class Worker:
    """The sessions of one of the processes of *plan*."""

    def __init__(self, plan: Plan, number: int) -> None:
        self._plan = plan
        self._number = number
        self._stop = threading.Event()
        self._recorder = Recorder()
        self._failures: list[BaseException] = []

    def work(self, until: float, tell: Callable[[int], bool]) -> list[Operation]:
        """Let the sessions work until a moment; return what was done.

        *tell* hears now and then how many operations succeeded; the run ends early
        when it answers False, or when a session meets an error that is no database's.
        """
        plan = self._plan
        with ExitStack() as stack:
            clusters = {
                region: stack.enter_context(
                    globaldb.Cluster(url, **plan.cluster_options(region))
                )
                for region, url in plan.urls.items()
            }
            first = self._number * _APART
            board = deque[Told](maxlen=_TOKENS_KEPT)
            company = Company(plan, clusters, board, self._stop, first)
            players = self._players(company)
            threads = [
                threading.Thread(target=self._play, args=(each,), daemon=True)
                for each in players
            ]
            for thread in threads:
                thread.start()
            # Ctrl-C ends the run, and what was done so far is checked.
            with suppress(KeyboardInterrupt):
                while monotonic() < until and not self._stop.wait(_TICK):
                    failed = sum(each.witness.failed for each in players)
                    if not tell(len(self._recorder) - failed):
                        break
            self._stop.set()
            self._await(threads, players)
        if self._failures:
            raise self._failures[0]
        return self._recorder.operations()

    def _players(self, company: Company) -> list[Player]:
        regions = self._plan.regions_of(self._number)
        return [
            Player(
                company,
                region,
                self._recorder.page(),
                Random(f"{self._plan.seed} {self._number} {place}"),
            )
            for place, region in enumerate(regions)
        ]

    def _play(self, player: Player) -> None:
        try:
            player.play()
        except BaseException as failure:  # noqa: BLE001 - raised again by work()
            self._failures.append(failure)
            self._stop.set()

    def _await(self, threads: list[threading.Thread], players: list[Player]) -> None:
        """Wait for what is under way; what does not return is noted."""
        until = monotonic() + PATIENCE
        for thread in threads:
            thread.join(max(0.0, until - monotonic()))
        now = monotonic()
        hung = [each.witness.hung(now) for each in players]
        self._recorder.page().extend(each for each in hung if each is not None)


def main(plan: Plan, number: int, until: float, pipe: Connection) -> None:
    """Work in a process of its own; whoever holds the other end of *pipe* is told.

    It hears numbers of operations and then the list of them, or the traceback of what
    ended the work; anything that it sends ends the work early.
    """
    # Ctrl-C is the parent's to answer; what goes wrong is counted.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("globaldb").addHandler(logging.NullHandler())

    def tell(operations: int) -> bool:
        pipe.send(operations)
        return not pipe.poll()

    try:
        pipe.send(Worker(plan, number).work(until, tell))
    except Exception:  # noqa: BLE001 - the parent raises it
        pipe.send(traceback.format_exc())
