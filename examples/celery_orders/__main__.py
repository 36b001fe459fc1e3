"""``python -m celery_orders ITEM AMOUNT``: place an order, and say what became of it."""

from __future__ import annotations

import sys

from celery_orders.orders import SCHEMA, connect, place

if __name__ == "__main__":
    with connect() as conn:
        conn.execute(SCHEMA)
    print(place(sys.argv[1], int(sys.argv[2])).get(timeout=60))
