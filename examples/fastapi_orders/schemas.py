"""What is sent and received."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Quantity = Annotated[int, Field(gt=0)]


class Row(BaseModel):
    """Made from a row, or from what was sent."""

    model_config = ConfigDict(from_attributes=True)


class LineBody(Row):
    """One line of an order."""

    sku: str
    quantity: Quantity


class NewOrder(BaseModel):
    """An order to be made."""

    customer: str
    lines: list[LineBody]


class OrderForm(BaseModel):
    """What may be changed of an order."""

    status: Literal["open", "paid", "sent"]


class OrderBody(Row):
    """An order as it is shown."""

    id: int
    customer: str
    status: str
    lines: list[LineBody]


class ProductBody(Row):
    """A product, and how much of it there is."""

    sku: str
    stock: int


class Reservation(BaseModel):
    """How much of a product somebody wants."""

    quantity: Quantity
