"""The proxy process: every link of a lab, told what to do over a pipe."""

from __future__ import annotations

import gc
import signal
import sys

from globaldb.lab.child import sharpen_timers
from globaldb.lab.commands import Commands, answer, read_plan
from globaldb.lab.loop import Loop
from globaldb.lab.network import Network


def main() -> int:
    """Serve until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sharpen_timers()
    plan = read_plan()
    loop = Loop()
    try:
        network = Network(loop, plan)
    except OSError as failure:
        answer({"error": f"a link cannot listen: {failure}"})
        return 1
    Commands(loop, network, 0)
    gc.freeze()
    answer({"result": None})
    loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
