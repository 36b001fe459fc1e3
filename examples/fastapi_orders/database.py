"""The engine, and a session for each request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm import Session, sessionmaker


def sessions(request: Request) -> sessionmaker[Session]:
    """Return what makes sessions, for what needs more than one transaction."""
    maker: sessionmaker[Session] = request.app.state.sessions
    return maker


Sessions = Annotated[sessionmaker[Session], Depends(sessions)]


def session(make: Sessions) -> Iterator[Session]:
    """Return the request's session; what is not committed is rolled back."""
    with make() as each:
        yield each


#: It ends before the response is sent. By default FastAPI ends it afterwards: too late
#: for the response to tell of what that would still write, and of its failure.
RequestSession = Annotated[Session, Depends(session, scope="function")]
