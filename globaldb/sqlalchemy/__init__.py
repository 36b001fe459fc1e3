"""SQLAlchemy on a database that spans regions: dialects, options and helpers.

The dialects come with the URL: ``create_engine("postgresql+globaldb://...")``.
"""

from __future__ import annotations

from globaldb.sqlalchemy.options import reader, writer
from globaldb.sqlalchemy.transaction import run_transaction

__all__ = ["reader", "run_transaction", "writer"]
