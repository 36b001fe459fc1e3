"""What a customer does, in a web request or from the command line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from celery import chain

import globaldb
from celery_orders import tasks

if TYPE_CHECKING:
    from celery.result import AsyncResult

SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    id bigserial PRIMARY KEY, item text NOT NULL, amount int NOT NULL CHECK (amount > 0));
CREATE TABLE IF NOT EXISTS asked (
    order_id bigint NOT NULL REFERENCES orders, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS payments (
    order_id bigint PRIMARY KEY REFERENCES orders, amount int NOT NULL);
CREATE TABLE IF NOT EXISTS parcels (
    order_id bigint PRIMARY KEY REFERENCES orders, number text NOT NULL);
"""


def connect() -> Any:
    """Return a connection to the database, which the application's processes share."""
    return globaldb.connect(os.environ["DATABASE_URL"], autocommit=True)


def save(item: str, amount: int) -> int:
    """Save an order, and return its number."""
    with connect() as conn:
        sql = "INSERT INTO orders (item, amount) VALUES (%s, %s) RETURNING id"
        return int(conn.execute(sql, (item, amount)).fetchone()[0])


def place(item: str, amount: int) -> AsyncResult[Any]:
    """Save an order, and have it charged, packed and confirmed behind the request.

    A web framework's middleware (`globaldb.wsgi`, `globaldb.asgi`, Django's) makes each
    request such a block; elsewhere it is written down.
    """
    with globaldb.session():
        order = save(item, amount)
        steps = (tasks.charge, tasks.pack, tasks.confirm)
        return chain(*(step.si(order) for step in steps)).delay()
