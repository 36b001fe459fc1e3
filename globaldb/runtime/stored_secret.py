"""User and password out of AWS Secrets Manager, read once and kept.

What else the secret says is left alone: its host points at one region, and a secret
that is replicated is read in all of them. It is read anew when the nodes no longer
take what it said, once for all the connections that notice.
"""

from __future__ import annotations

import json
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from globaldb.config.secret import Login, Secret
from globaldb.errors import OperationalError
from globaldb.runtime import aws

if TYPE_CHECKING:
    from collections.abc import Callable

    from globaldb.config import NodeAddress

#: Seconds after a reading that was of no use before the next; they double up to a
#: minute. A rotation takes seconds, and each reading is paid for.
_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 60.0


class StoredSecret:
    """Signs in with what the secret *name* in *region* holds. Safe for threads.

    *user* is who to be when the secret names nobody. *patience* bounds each reading,
    in seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        region: str | None,
        user: str | None,
        patience: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._name = name
        self._region = region
        self._user = user
        self._patience = patience
        self._clock = clock
        self._lock = threading.Lock()
        self._client: Any = None
        self._held: Login | None = None
        self._pause = _PAUSE
        #: Before this it is not read again (seconds of the clock), and why.
        self._not_before = float("-inf")
        self._problem = ""

    def login(self, node: NodeAddress, deadline: float) -> Login:
        """Return user and password, reading the secret if it was never read.

        Raises `OperationalError` when it cannot be read, or not before *deadline*
        (monotonic seconds), and `ConfigurationError` without boto3.
        """
        del node  # the same for all
        held = self._held
        if held is None:
            self._read(None, deadline)
            held = self._held
        if held is None:
            raise OperationalError(self._problem)
        return held

    def renew(self, node: NodeAddress, refused: Login, deadline: float) -> bool:
        """Read the secret again, which said *refused*; whether it says something else.

        Another thread may have done so meanwhile. After a reading that brought
        nothing new it rests for a while. Raises as `login` does.
        """
        del node
        self._read(refused, deadline)
        if self._held == refused and self._problem:
            raise OperationalError(f"the password is refused, and {self._problem}")
        return self._held != refused

    def forget_after_fork(self) -> None:
        """Start over in a forked child: the thread that held the lock is not in it."""
        self._lock = threading.Lock()
        self._client = None

    def __repr__(self) -> str:
        return f"<StoredSecret {self._name}>"

    def _read(self, known: Login | None, deadline: float) -> None:
        """Read the secret unless it says something else than *known* already."""
        if not self._lock.acquire(timeout=max(0.0, deadline - monotonic())):
            raise OperationalError(
                f"secret {self._name} was not read in time. Look whether AWS Secrets "
                "Manager can be reached from here"
            )
        try:
            now = self._clock()
            if self._held is not known or now < self._not_before:
                return
            self._problem, found = self._asked()
            if found is None or found == known:
                self._not_before = now + self._pause
                self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            else:
                self._pause = _PAUSE
            self._held = found or known
        finally:
            self._lock.release()

    def _asked(self) -> tuple[str, Login | None]:
        """Return what the secret says, or why nobody knows."""
        if self._client is None:
            self._client = aws.client("secretsmanager", self._region, self._patience)
        place = f"secret {self._name} in {self._client.meta.region_name}"
        try:
            with aws.unlogged():
                answer = self._client.get_secret_value(SecretId=self._name)
        except aws.failures() as error:
            return f"{place} could not be read: {aws.reason(error)}", None
        found = _login(answer.get("SecretString"), self._user)
        if found is None:
            return f"{place} is not JSON with a username and a password", None
        return "", found


def _login(text: str | None, user: str | None) -> Login | None:
    """Return who the secret *text* says to be; None when it does not tell."""
    try:
        fields = json.loads(text or "")
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    name, password = fields.get("username", user), fields.get("password")
    if not isinstance(name, str) or not isinstance(password, str):
        return None
    return Login(name, Secret(password))
