"""Orders: list, show, make and change them."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, HTTPException
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from fastapi_orders.database import RequestSession, Sessions
from fastapi_orders.models import Line, Order
from fastapi_orders.schemas import NewOrder, OrderBody, OrderForm

router = APIRouter(prefix="/orders")


@router.get("", response_model=list[OrderBody])
def list_orders(session: RequestSession) -> Sequence[Order]:
    query = select(Order).order_by(Order.id).options(selectinload(Order.lines))
    return session.scalars(query).all()


@router.get("/totals")
async def totals(make: Sessions) -> dict[str, int]:
    """Count orders by status; SQLAlchemy blocks, so a thread does it."""

    def count() -> dict[str, int]:
        query = select(Order.status, func.count()).group_by(Order.status)
        with make() as session:
            return dict(session.execute(query).all())

    return await run_in_threadpool(count)


@router.get("/{order_id}", response_model=OrderBody)
def show_order(order_id: int, session: RequestSession) -> Order:
    return found(session, order_id)


@router.post("", status_code=201)
def make_order(body: NewOrder, session: RequestSession) -> OrderBody:
    lines = [Line(**line.model_dump()) for line in body.lines]
    order = Order(customer=body.customer, lines=lines)
    session.add(order)
    session.flush()
    return saved(session, order)


@router.put("/{order_id}")
def change_order(order_id: int, form: OrderForm, session: RequestSession) -> OrderBody:
    order = found(session, order_id)
    order.status = form.status
    return saved(session, order)


def found(session: Session, order_id: int) -> Order:
    """Return an order, or answer that there is none."""
    order = session.get(Order, order_id, options=[selectinload(Order.lines)])
    if order is None:
        raise HTTPException(404, f"there is no order {order_id}")
    return order


def saved(session: Session, order: Order) -> OrderBody:
    """Commit; what is shown was read before, and need not be read again."""
    shown = OrderBody.model_validate(order)
    session.commit()
    return shown
