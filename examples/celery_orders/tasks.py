"""The work that is done on an order: each step reads what the ones before it wrote."""

from __future__ import annotations

import os
from typing import Any

import globaldb
from celery_orders.app import app

#: Orders above this are looked at twice by the bank, which is busy the first time.
LARGE = 100


class NoSuchOrderError(Exception):
    """There is no order of that number: nobody has saved it, or it is not here yet."""


def connect() -> Any:
    """Return a connection: all that a process opens share its pools."""
    return globaldb.connect(os.environ["DATABASE_URL"], autocommit=True)


def read(conn: Any, sql: str, order: int) -> tuple[Any, ...]:
    """Return the row of an order that there must be; it is read nearby."""
    row: tuple[Any, ...] | None = conn.execute(sql, (order,)).fetchone()
    if row is None:
        raise NoSuchOrderError(order)
    return row


@app.task(bind=True, max_retries=3)
def charge(self: Any, order: int) -> None:
    """Take the money. Who asks the bank again must know of having asked before."""
    with connect() as conn:
        [amount] = read(conn, "SELECT amount FROM orders WHERE id = %s", order)
        count = "SELECT count(*) FROM asked WHERE order_id = %s"
        [before] = read(conn, count, order)
        if amount > LARGE and not before:
            conn.execute("INSERT INTO asked (order_id) VALUES (%s)", (order,))
            raise self.retry(countdown=0)
        conn.execute("INSERT INTO payments VALUES (%s, %s)", (order, amount))


@app.task
def pack(order: int) -> None:
    """Pack what was paid for."""
    with connect() as conn:
        read(conn, "SELECT 1 FROM payments WHERE order_id = %s", order)
        number = f"GB-{order:06d}"
        conn.execute("INSERT INTO parcels VALUES (%s, %s)", (order, number))


@app.task
def confirm(order: int) -> str:
    """Return what the customer is told."""
    with connect() as conn:
        sql = """SELECT item, payments.amount, number
            FROM orders JOIN payments ON payments.order_id = orders.id
            JOIN parcels ON parcels.order_id = orders.id WHERE orders.id = %s"""
        item, amount, number = read(conn, sql, order)
    return f"{item}: {amount} paid, on its way as {number}"
