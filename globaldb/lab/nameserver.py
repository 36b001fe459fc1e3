"""The name server process: each region's view of a lab's names.

What a promotion changes shows after a while, as in the world, if it is told so.
"""

from __future__ import annotations

import signal
import sys
from time import monotonic
from typing import TYPE_CHECKING, Any

from globaldb.lab.commands import Commands, answer, read_plan
from globaldb.lab.endpoints import Endpoints
from globaldb.lab.loop import Loop
from globaldb.lab.space import Space
from globaldb.lab.view import View
from globaldb.lab.zone import Place, Roles, Zone

if TYPE_CHECKING:
    from collections.abc import Mapping


class NameServer:
    """Every view, and for how long it does not see what changed."""

    def __init__(self, loop: Loop, plan: Mapping[str, Any]) -> None:
        self._loop = loop
        self._late = 0.0
        endpoints = Endpoints(**plan["endpoints"])
        roles = Roles(plan["writer"])
        self._views: dict[str, View] = {}
        for each in plan["views"]:
            zone = Zone(endpoints, [Place(*spot) for spot in each["places"]], roles)
            host, port = each["listen"]
            if each["space"] is not None:
                Space(*each["space"]).enter()
            self._views[each["region"]] = View(loop, zone, (host, port))

    def roles(self, writer: str, down: list[str]) -> None:
        """Answer by other roles, once it is time."""
        roles = Roles(writer, frozenset(down))

        def show() -> None:
            for view in self._views.values():
                view.show(roles)

        if self._late:
            self._loop.call_at(monotonic() + self._late, show)
        else:
            show()

    def lag(self, seconds: float) -> None:
        """Have what changes from now on show *seconds* later."""
        self._late = seconds

    def fail(self, fault: str, regions: list[str], seconds: float) -> None:
        """Have this fault in *regions*; the empty one is none."""
        for region in regions:
            self._views[region].fail(fault, seconds)

    def state(self) -> dict[str, Any]:
        """Return the fault of every region that has one, and how late changes show."""
        faults = {name: view.fault for name, view in self._views.items() if view.fault}
        return {"dns_faults": faults, "dns_lag": self._late}


def main() -> int:
    """Serve until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    plan = read_plan()
    loop = Loop()
    try:
        server = NameServer(loop, plan)
    except OSError as failure:
        answer({"error": f"the name server cannot listen: {failure}"})
        return 1
    Commands(loop, server, 0)
    answer({"result": None})
    loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
