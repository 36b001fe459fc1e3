"""The DB-API surface for PostgreSQL: psycopg's, with the routing behind it."""

from __future__ import annotations
