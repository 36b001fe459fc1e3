"""The catalog of a cluster: read in the background, again when it has changed.

Nothing waits for it. Until it is there, functions of the database are unknown, and
unknown means writer; while it is known to be out of date, reads go to the writer.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Final

from globaldb.core.lending import Outcome
from globaldb.core.statement import Defines

if TYPE_CHECKING:
    from globaldb.core.catalog import Catalog
    from globaldb.runtime.cluster import ClusterRuntime
    from globaldb.runtime.node import Node

logger = logging.getLogger("globaldb")

#: Seconds that reading it may take.
_PATIENCE: Final = 10.0
#: Seconds between two readings of which nothing says that the next one helps.
_PAUSE: Final = 30.0
#: Seconds after an attempt that has failed; twice as many after each one more.
_FIRST_PAUSE: Final = 0.5
#: How many transactions of two phases are remembered.
_PREPARED: Final = 1000
#: Seconds between two for the sake of new tables: some applications never stop.
_SHORT_PAUSE: Final = 5.0


class CatalogKeeper:
    """Keeps `Knowledge` up to date with one cluster's catalog. Safe for threads.

    At most one reading is under way; whatever asks for another meanwhile is served
    by the one after it.
    """

    def __init__(self, cluster: ClusterRuntime) -> None:
        self._cluster = cluster
        self._lock = threading.Lock()
        self._running = False
        #: How many definitions were seen, and how many of them the catalog has.
        self._seen = 0
        self._known = 0
        #: How many definitions of any kind this process has committed.
        self.changes = 0
        #: Whether anybody asks what leads from one table to others.
        self._tables = cluster.config.safe_lag_scope == "table"
        self._wanted = True
        self._pause = _PAUSE
        #: The pause after the next attempt, should it fail.
        self._patience = _FIRST_PAUSE
        self._tried_at = float("-inf")
        self._present = False
        #: What transactions prepared by this process define, by their identifiers.
        self._prepared: dict[str, Defines] = {}
        self._problem = "nobody was asked yet"

    def after_fork(self) -> CatalogKeeper:
        """Return the keeper of a forked child, which knows what its parent knew."""
        keeper = CatalogKeeper(self._cluster)
        # Only the writer may be asked, at the first probe.
        keeper._seen = int(self.outdated)
        return keeper

    @property
    def present(self) -> bool:
        """Whether it was read, and nothing is known to have changed since."""
        return self._present and not self.outdated

    @property
    def status(self) -> str:
        """Say in a few words how far the catalog can be relied on."""
        if self.outdated:
            return "out of date: being read again"
        if self._present:
            return "read"
        return f"not read: {self._problem}"

    @property
    def outdated(self) -> bool:
        """Whether a definition has passed by that the catalog does not have yet."""
        return self._seen != self._known

    def changed(self, what: Defines) -> None:
        """Take note that a definition has just been committed by this process.

        Of *what* it is decides whether reads may go on meanwhile: a new table may be
        refused by a reader, which is noticed; new code may do there what nobody sees.
        """
        with self._lock:
            self.changes += 1
        self._cluster.knowledge.forget()
        if what is Defines.DATA:
            self._pause = _SHORT_PAUSE
            self._wanted = True
            self.look()
            return
        with self._lock:
            self._seen += 1
        self._cluster.touch()
        self._start()

    def prepared(self, gid: str, what: Defines) -> None:
        """Take note that transaction *gid* holds definitions until its second phase."""
        if what is not Defines.NOTHING:
            self._prepared[gid] = what
            if len(self._prepared) > _PREPARED:
                # Somebody else has finished it.
                with suppress(RuntimeError):
                    self._prepared.pop(next(iter(self._prepared)), None)

    def finished(self, gid: str) -> Defines:
        """Return what transaction *gid* held, which is over now."""
        return self._prepared.pop(gid, Defines.NOTHING)

    def needed(self, reason: str) -> None:
        """Take note of why a statement is at the writer; want of the catalog is cured."""
        if reason == "unknown_function":
            self.missed()
        elif reason == "catalog_outdated":
            self.look()

    def missed(self) -> None:
        """Take note of something the catalog did not know: it may be out of date."""
        self._wanted = True
        self.look()

    def look(self) -> None:
        """Read it if that is wanted, and was not tried a moment ago."""
        if self._wanted and monotonic() - self._tried_at > self._pause:
            self._start()

    def _start(self) -> None:
        with self._lock:
            if self._running or self._cluster.closed:
                return
            self._running = True
        self._cluster.worker.submit(self._run)

    def _run(self) -> None:
        try:
            while True:
                seen, changes = self._seen, self.changes
                self._tried_at = monotonic()
                self._wanted = False
                self._pause = _PAUSE
                # A reader may not have what was just defined.
                catalog = self._read(from_writer=self._at_writer(seen))
                if catalog is not None and changes != self.changes:
                    # What has changed meanwhile may be what leads to a table.
                    catalog = replace(catalog, tables=None)
                self._take_in(catalog)
                with self._lock:
                    self._known = seen
                    if self._cluster.closed or not self.outdated:
                        self._running = False
                        break
        except BaseException:
            self._wanted = True
            self._running = False
            raise
        self._cluster.touch()

    def _at_writer(self, seen: int) -> bool:
        """Whether only the writer is sure to have what is asked for."""
        if self._present or seen > 0:
            return True
        return self._tables and self._cluster.topology.writer is not None

    def _take_in(self, catalog: Catalog | None) -> None:
        if catalog is None:
            # Better to know nothing than what is no longer so.
            self._wanted = True
            self._pause = self._patience
            self._patience = min(2 * self._patience, _PAUSE)
            if self._cluster.topology.writer is None:
                # Once there is one, the next attempt helps.
                self._pause = 0.0
            if self.outdated:
                self._cluster.knowledge.doubt()
                self._present = False
        else:
            self._cluster.knowledge.update(catalog)
            self._present = True
            self._patience = _FIRST_PAUSE

    def _read(self, *, from_writer: bool) -> Catalog | None:
        """Ask a node; the writer when only it is sure to have the newest."""
        cluster = self._cluster
        deadline = monotonic() + _PATIENCE
        try:
            if from_writer:
                return self._ask(cluster.awaiting.writer(deadline), deadline)
            node = cluster.pick()
            return None if node is None else self._ask(node, deadline)
        except Exception as error:  # noqa: BLE001 - whatever it is, it can be done without
            self._problem = " ".join(str(error).split())
            if not cluster.closed:
                logger.warning("catalog_not_read reason=%s", self._problem)
            return None

    def _ask(self, node: Node, deadline: float) -> Catalog:
        """Ask *node* over a spare connection: sessions count on finding theirs."""
        driver = self._cluster.driver
        lease = node.pool.try_spare()
        if lease is None:
            link = node.open(deadline)
            try:
                return driver.catalog(link, deadline, tables=self._tables)
            finally:
                driver.close(link)
        outcome = Outcome.DISCARD
        try:
            catalog = driver.catalog(lease.connection, deadline, tables=self._tables)
            outcome = Outcome.REUSE
        finally:
            node.pool.checkin(lease, outcome)
        return catalog
