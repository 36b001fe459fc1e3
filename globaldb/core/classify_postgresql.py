"""Text to verdict, for PostgreSQL."""

from __future__ import annotations

from globaldb.core.statement import Statement, Verdict


def classify(sql: str | bytes) -> Statement:
    """Return what *sql* means; whatever is not understood is a write."""
    text = sql.decode("utf-8", "replace") if isinstance(sql, bytes) else sql
    words = text.split(None, 1)
    command = words[0].upper() if words else ""
    return Statement(Verdict.WRITE, "unknown_statement", command, alone=True)
