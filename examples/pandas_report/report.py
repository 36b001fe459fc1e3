"""What was sold, by month and product: read next door, written where writes belong.

``python report.py sales.csv`` adds the file to what there is, and makes the report anew.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pandas as pd
from sqlalchemy import Engine, create_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

SALES = "SELECT day, product, amount FROM sales ORDER BY day, product"
REPORT = """
    SELECT month, product, amount FROM reports
    WHERE made = (SELECT max(made) FROM reports) ORDER BY month, product
"""

#: Rows that are in memory at a time.
CHUNK = 10_000


def add_sales(engine: Engine, sales: pd.DataFrame) -> None:
    """Append to what was sold; runs at the writer."""
    sales.to_sql("sales", engine, if_exists="append", index=False)


def sold(engine: Engine, chunk: int = CHUNK) -> Iterator[pd.DataFrame]:
    """Read everything that was sold, so many rows at a time, at the nearest reader.

    A cursor on the server holds the rest. It stays at the reader because the transaction
    is declared read only: another one might write yet, and would begin at the writer.
    """
    streaming = engine.execution_options(stream_results=True, postgresql_readonly=True)
    yield from pd.read_sql_query(SALES, streaming, chunksize=chunk)


def make_report(engine: Engine) -> pd.DataFrame:
    """Add up what was sold, keep that beside earlier reports, and return it as kept."""
    parts = [
        part.assign(month=part["day"].dt.strftime("%Y-%m"))
        .groupby(["month", "product"], as_index=False)["amount"]
        .sum()
        for part in sold(engine)
    ]
    totals = pd.concat(parts).groupby(["month", "product"], as_index=False).sum()
    totals["made"] = pd.Timestamp.now(tz="UTC")
    totals.to_sql("reports", engine, if_exists="append", index=False)
    return read_report(engine)


def read_report(engine: Engine) -> pd.DataFrame:
    """Read the latest report, and not an older one than this program has made."""
    return pd.read_sql(REPORT, engine)


def main() -> None:
    engine = create_engine(os.environ["DATABASE_URL"])
    for name in sys.argv[1:]:
        add_sales(engine, pd.read_csv(name, parse_dates=["day"]))
    print(make_report(engine).to_string(index=False))


if __name__ == "__main__":
    main()
