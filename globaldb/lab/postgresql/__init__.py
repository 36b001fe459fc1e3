"""PostgreSQL as an engine of the lab."""

from __future__ import annotations
