"""An application in one process: it writes and reads, and tells of each as it ends.

Reads what it is to do as one line of JSON, says "ready", and then one line of JSON for
each call, until its standard input ends.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from time import monotonic
from typing import Any, Final, Protocol

#: Seconds between two writes, and two reads, beside what they take.
_PAUSE: Final = 0.01
_AFTER_AN_ERROR: Final = 0.02

_INSERT: Final = {
    "postgresql": (
        "INSERT INTO beats (client, n, node)"
        " VALUES (%s, %s, current_setting('cluster_name')) RETURNING node"
    ),
    "mariadb": (
        "INSERT INTO beats (client, n, node)"
        " VALUES (%s, %s, @@report_host) RETURNING node"
    ),
}
_SELECT: Final = "SELECT label FROM labels WHERE id = 1"


class Client(Protocol):
    """One way to the database."""

    def write(self, number: int) -> str:
        """Insert *number*, and return the node that did."""

    def read(self) -> None:
        """Read a row."""


class Routed:
    """globaldb: one cluster, a connection that writes and one that reads."""

    def __init__(self, plan: dict[str, Any]) -> None:
        import globaldb

        self._insert = _INSERT[plan["engine"]]
        self._cluster = globaldb.Cluster(plan["url"], autocommit=True)
        self._writes: Any = self._cluster.connect()
        self._reads: Any = self._cluster.connect()

    def write(self, number: int) -> str:
        """Insert *number*, and return the node that did."""
        with self._writes.cursor() as cursor:
            cursor.execute(self._insert, ("globaldb", number))
            return str(cursor.fetchone()[0])

    def read(self) -> None:
        """Read a row."""
        with self._reads.cursor() as cursor:
            cursor.execute(_SELECT)
            cursor.fetchone()


class Wrapped:
    """The AWS Advanced Python Wrapper: a connection to the writer, one to a reader.

    A connection that could not be moved to another node is opened anew.
    """

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self._writes: Any = self._connect(plan["writer"])
        self._reads: Any = self._connect(
            plan["reader"], failover_mode="reader_or_writer"
        )

    def _connect(self, dsn: str, **options: Any) -> Any:
        import psycopg
        from aws_advanced_python_wrapper import AwsWrapperConnection

        return AwsWrapperConnection.connect(
            psycopg.Connection.connect,
            dsn,
            wrapper_dialect="global-aurora-pg",
            # Else it learns of the other nodes only from the writer that it has lost.
            enable_connect_failover=True,
            cluster_id="lab",
            cluster_instance_host_pattern=self._plan["pattern"],
            global_cluster_instance_host_patterns=self._plan["patterns"],
            failover_timeout_sec=60,
            autocommit=True,
            **options,
        )

    def write(self, number: int) -> str:
        """Insert *number*, and return the node that did."""
        if self._writes is None:
            self._writes = self._connect(self._plan["writer"])
        try:
            with self._writes.cursor() as cursor:
                cursor.execute(_INSERT["postgresql"], ("wrapper", number))
                return str(cursor.fetchone()[0])
        except Exception as error:
            if type(error).__name__ not in _MOVED:
                self._writes = None
            raise

    def read(self) -> None:
        """Read a row."""
        with self._reads.cursor() as cursor:
            cursor.execute(_SELECT)
            cursor.fetchone()


#: What the wrapper raises when its connection leads to the new writer already.
_MOVED: Final = {"FailoverSuccessError", "TransactionResolutionUnknownError"}
_KINDS: Final = {"globaldb": Routed, "wrapper": Wrapped}


class Application:
    """Calls a client again and again, from a thread for writes and one for reads."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=call, daemon=True)
            for call in (self._read, self._write)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End both; a call under way is waited for as long as it may take to fail."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(5.0)

    def _write(self) -> None:
        number = 0
        while not self._stopping.is_set():
            number += 1
            began = monotonic()
            try:
                node, failure = self._client.write(number), None
            except Exception as error:  # noqa: BLE001 - what an application is told
                node, failure = None, type(error).__name__
            self._tell("write", began, number=number, node=node, error=failure)
            self._stopping.wait(_PAUSE if failure is None else _AFTER_AN_ERROR)

    def _read(self) -> None:
        while not self._stopping.is_set():
            began = monotonic()
            failure = None
            try:
                self._client.read()
            except Exception as error:  # noqa: BLE001 - as above
                failure = type(error).__name__
            self._tell("read", began, error=failure)
            self._stopping.wait(_PAUSE)

    def _tell(self, call: str, began: float, **about: Any) -> None:
        text = json.dumps({"call": call, "began": began, "ended": monotonic(), **about})
        with self._lock:
            print(text, flush=True)


def main() -> int:
    logging.disable()
    plan = json.loads(sys.stdin.readline())
    client = _KINDS[plan["kind"]](plan)
    client.read()
    client.write(0)
    print('{"call": "ready"}', flush=True)
    application = Application(client)
    sys.stdin.read()
    application.stop()
    print('{"call": "done"}', flush=True)
    return 0


if __name__ == "__main__":
    import os

    main()
    sys.stdout.flush()
    # The wrapper's threads would be waited for.
    os._exit(0)
