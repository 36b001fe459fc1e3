"""The process that serves AWS's API of a lab: RDS and Secrets Manager, by moto."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading

from globaldb.lab.commands import Commands, answer, read_plan
from globaldb.lab.loop import Loop


def main() -> int:
    """Serve until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    plan = read_plan()
    # A lab may have regions that AWS has not. To be said before moto is imported.
    os.environ["MOTO_ALLOW_NONEXISTENT_REGION"] = "true"
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    from globaldb.lab.account import Account

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    account = Account(plan)
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    loop = Loop()
    Commands(loop, account, 0)
    answer({"result": server.server_address[:2]})
    loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
