"""SQLAlchemy's tests for dialects, all of them."""

from __future__ import annotations

from sqlalchemy.testing.suite import *  # noqa: F403 - this is how they are taken
