"""Products: how much of each there is, and taking some."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from sqlalchemy.orm import Session

from fastapi_orders.database import RequestSession, Sessions
from fastapi_orders.models import Product
from fastapi_orders.schemas import ProductBody, Reservation
from globaldb.sqlalchemy import run_transaction

router = APIRouter(prefix="/products")


@router.put("/{sku}")
def stock_up(sku: str, body: ProductBody, session: RequestSession) -> ProductBody:
    session.merge(Product(sku=sku, stock=body.stock))
    session.commit()
    return body


@router.post("/{sku}/reservations")
def reserve(sku: str, wanted: Reservation, make: Sessions) -> ProductBody:
    """Take some of a product if there is enough.

    The lock keeps others from taking the same, as on any server; the repetition outlasts
    deadlocks, lost connections and a writer that moves.
    """

    def take(session: Session) -> ProductBody:
        product = session.get(Product, sku, with_for_update=True)
        if product is None or product.stock < wanted.quantity:
            raise HTTPException(409, f"there is not so much of {sku}")
        product.stock -= wanted.quantity
        return ProductBody.model_validate(product)

    return run_transaction(make, take)
