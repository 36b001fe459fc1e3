"""Buying: what is in a cart becomes an order, and leaves the stock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F

from shop.models import Order, OrderLine, Stock

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class NotSoldError(Exception):
    """The cart is empty, or holds more of a product than is left."""


def check_out(user: User) -> Order:
    """Buy everything in the cart of *user*, or nothing.

    Raises `NotSoldError`.
    """
    with transaction.atomic():
        # The cart is locked with the stock: a second click finds it empty.
        shelves = list(
            Stock.objects.select_for_update()
            .select_related("product")
            .filter(product__cartitem__user=user)
            .annotate(wanted=F("product__cartitem__quantity"))
            .order_by("pk")
        )
        if not shelves:
            raise NotSoldError("There is nothing in your cart.")
        for shelf in shelves:
            if shelf.available < shelf.wanted:
                raise NotSoldError(f"{shelf.product}: only {shelf}.")
        order = Order.objects.create(
            user=user, total=sum(each.wanted * each.product.price for each in shelves)
        )
        OrderLine.objects.bulk_create(
            OrderLine(
                order=order,
                product=each.product,
                quantity=each.wanted,
                price=each.product.price,
            )
            for each in shelves
        )
        for shelf in shelves:
            shelf.available = F("available") - shelf.wanted
        Stock.objects.bulk_update(shelves, ["available"])
        user.cart.filter(product__stock__in=shelves).delete()
    return order
