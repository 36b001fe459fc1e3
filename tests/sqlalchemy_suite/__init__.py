"""SQLAlchemy's own tests for dialects, run with ours."""

from __future__ import annotations
