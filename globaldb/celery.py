"""Celery: a task sees what the work that sent it has written, and so do its own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from globaldb.dbapi.work import Work, handed_on
from globaldb.errors import ConfigurationError, Error

if TYPE_CHECKING:
    from collections.abc import MutableMapping

logger = logging.getLogger("globaldb")

#: Of a task's message. Also the name that the task's request has it under.
HEADER: Final = "globaldb_token"


def install(app: Any) -> None:
    """Have tasks of the Celery application *app* go on where their senders were.

    Where a task is sent inside of a piece of work (a request that a middleware follows,
    ``with globaldb.session()``, another task), its message takes along the token of that:
    what was written there, and committed, before it was sent. The worker runs each task
    as a piece of work of its own that begins with its message's token; what it has
    written goes along with the tasks that follow it: of a chain, a callback, a retry.

    To be called where the application is made, so that whoever sends and every worker
    does. Calling it again does nothing. Raises `ConfigurationError` without Celery.
    """
    try:
        from celery import signals
        from celery.local import Proxy
    except ImportError as missing:
        raise ConfigurationError(
            f"globaldb.celery needs Celery, which cannot be imported ({missing}): "
            "pip install 'globaldb[celery]'"
        ) from missing
    if isinstance(app, Proxy):
        # As ``celery.current_app`` is: the tasks know what it stands for.
        app = app._get_current_object()  # noqa: SLF001 - Celery's name for it
    tasks = _Tasks(app)
    for signal, receiver in (
        (signals.task_prerun, tasks.began),
        (signals.task_postrun, tasks.ended),
    ):
        uid = f"globaldb {id(app)}"
        signal.connect(receiver, weak=False, dispatch_uid=uid)
    # Of any application: who it is that sends is not told.
    publish = signals.before_task_publish
    publish.connect(_sending, weak=False, dispatch_uid="globaldb")


class _Tasks:
    """The tasks of one application that run in this process."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._running: dict[int, Work] = {}

    def began(self, *, task: Any, **_: Any) -> None:
        """Begin the piece of work that *task* is."""
        if task.app is not self._app:
            return
        request = task.request
        # What a thread of the worker did before is none of its business; but one that
        # is run in place is a part of what calls it.
        work = Work(request.get(HEADER), alone=not request.is_eager)
        self._running[id(request)] = work
        work.__enter__()

    def ended(self, *, task: Any, **_: Any) -> None:
        """End it."""
        work = self._running.pop(id(task.request), None)
        if work is not None:
            work.__exit__()


def _sending(*, headers: MutableMapping[str, Any] | None = None, **_: Any) -> None:
    """Put the token of the work that goes on here into the message of a task."""
    if headers is None:
        return
    try:
        token = handed_on(headers.get(HEADER))
    except Error as error:
        # It has been written all the same, and is to be worked on.
        logger.warning("token_missing error=%s", error)
        return
    if token is not None:
        headers[HEADER] = str(token)
