"""One source, asked again and again by a thread of its own."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING, Final

from globaldb.runtime import events

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from globaldb.core.membership import Finding
    from globaldb.runtime.discovery.source import Source

#: Seconds between two looks, however much happens, while nothing fails, and at the
#: most after failures.
_SHORTEST: Final = 0.25
_LONGEST: Final = 60.0
#: The same for who is in a hurry.
_HURRIED: Final = 15.0


class Watch:
    """Looks at *source* until it is stopped, or enough was found.

    *take* gets what is found, and returns whether that is enough; *failed* gets why
    nothing was. While *resting* says so, nobody needs to know, and nothing is asked. A
    look may last *patience* seconds. A source that fails is asked less and less often,
    whoever is in a hurry, and that is logged once.
    """

    def __init__(
        self,
        source: Source,
        *,
        take: Callable[[Finding], bool],
        failed: Callable[[str], None],
        resting: Callable[[], bool],
        patience: float,
        random: Random,
    ) -> None:
        self.source = source
        self._take = take
        self._failed = failed
        self._resting = resting
        self._patience = patience
        self._random = random
        self._failures = 0
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"globaldb-discovery-{source.name}", daemon=True
        )

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def hurry(self) -> None:
        """Look now."""
        self._wake.set()

    def stop(self, wait: float) -> None:
        """Look no more; wait up to *wait* seconds for a look that is under way."""
        self._stopping.set()
        self._wake.set()
        if self._thread.ident is not None and (
            self._thread is not threading.current_thread()
        ):
            self._thread.join(wait)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            if self._resting():
                self._wake.wait(_LONGEST)
                continue
            if self._look():
                return
            # Jitter keeps many processes from asking in step.
            jitter = self._random.uniform(0.9, 1.1)
            least, pause = (each * jitter for each in self._pauses())
            self._stopping.wait(least)
            self._wake.wait(pause - least)

    def _pauses(self) -> tuple[float, float]:
        """Return the seconds until the next look for who hurries, and for others.

        What fails may fail because it is asked too often.
        """
        longer = 2.0 ** min(self._failures, 8)
        longest = max(_LONGEST, self.source.pause)
        return (
            min(_SHORTEST * longer, _HURRIED),
            min(self.source.pause * longer, longest),
        )

    def _look(self) -> bool:
        """Ask the source; whether it has told enough."""
        name = self.source.name
        try:
            finding = self.source.look(monotonic() + self._patience)
            enough = finding is not None and self._take(finding)
        except Exception as error:  # noqa: BLE001 - one source never hurts another
            if self._stopping.is_set():
                return False
            text = " ".join(str(error).split()) or type(error).__name__
            if not self._failures:
                events.discovery_failed(name, text)
            self._failures += 1
            self._failed(text)
            return False
        if self._failures:
            events.discovery_recovered(name, self._failures)
        self._failures = 0
        return enough
