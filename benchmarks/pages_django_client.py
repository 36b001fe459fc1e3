"""Asks for the pages of the Django example, in a process of its own, and counts.

``python -m benchmarks.pages_django_client LAB BACKEND TIMES``, where BACKEND is
``globaldb`` or ``stock``, prints JSON: by setting and page the round trips to other
regions, each time.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from benchmarks.django_shop import DJANGOS_SESSIONS, PLENTY, Shop, open_shop
from benchmarks.pages_django import CASES, Case
from benchmarks.visitor import Visitor
from globaldb.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.visitor import Page


#: What is done at the writer before a page is asked for.
_BEFORE: Final = {
    "change": (f"UPDATE shop_stock SET available = {PLENTY}",),
    "delete": (
        """INSERT INTO shop_product (name, slug, description, price, active)
        VALUES ('Old', 'old', '', 1, true)""",
    ),
    "like": ("DELETE FROM shop_favourite",),
    "add": ("DELETE FROM shop_cartitem",),
    "checkout": (
        "DELETE FROM shop_cartitem",
        """INSERT INTO shop_cartitem (user_id, product_id, quantity)
        SELECT u.id, p.id, 2 FROM auth_user u, shop_product p WHERE p.price < 5""",
    ),
}


class Visit:
    """A visitor who asks for each page of `CASES`, by its name."""

    def __init__(self, shop: Shop) -> None:
        from django.contrib.auth.models import User
        from shop.models import Product

        self._shop = shop
        self._visitor = shop.visitor()
        other = shop.serve(SESSION_ENGINE=DJANGOS_SESSIONS)
        self._newcomers = {
            "login": Visitor(shop.application),
            "login_django": Visitor(other),
        }
        self._tea = Product.objects.select_related("stock").get(slug="tea")
        self._user: Any = User.objects.get()
        #: Whether readers may still lack something.
        self._saved = True
        #: No two forms are the same.
        self._asked = 0

    def ask(self, case: Case) -> int:
        """Ask for a page, which has to answer well; return the wide-area trips."""
        self._asked += 1
        if case.saves or self._saved:
            self._prepare(case.name)
            self._shop.settle()
        self._saved = case.saves
        answer: list[Page] = []
        work = self._pages()[case.name]
        trips = self._shop.meter.count(lambda: answer.append(work()))
        assert answer[0].status == (302 if case.saves else 200), answer[0].text[:3000]
        return trips.wide

    def _prepare(self, name: str) -> None:
        """Have everything as the page of that *name* wants it."""
        if name in self._newcomers:
            self._shop.greet(self._newcomers[name])
        for statement in _BEFORE.get(name, ()):
            self._shop.run(statement)
        self._old = self._shop.run("SELECT max(id) FROM shop_product")

    def _pages(self) -> dict[str, Callable[[], Page]]:
        get, post = self._visitor.get, self._visitor.post
        change = f"/admin/shop/product/{self._tea.pk}/change/"
        name = f"Ada the {self._asked}th"
        return {
            "products": lambda: get("/"),
            "product": lambda: get("/products/tea/"),
            "cart": lambda: get("/cart/"),
            "orders": lambda: get("/orders/"),
            "changelist": lambda: get("/admin/shop/product/?q=te"),
            "change_form": lambda: get(change),
            "profile": lambda: post("/profile/", first_name=name, email="a@b.org"),
            "like": lambda: post("/products/tea/like"),
            "add": lambda: post("/products/tea/add", quantity=1),
            "change": lambda: post(change, **self._form(available=PLENTY)),
            "change_with_inline": lambda: post(
                change, **self._form(available=self._asked)
            ),
            **{
                name: partial(self._shop.log_in, visitor)
                for name, visitor in self._newcomers.items()
            },
            "user_form": lambda: get(f"/admin/auth/user/{self._user.pk}/change/"),
            "csv": lambda: get("/orders.csv"),
            "delete_form": lambda: get(change.replace("change", "delete")),
            "delete": lambda: post(f"/admin/shop/product/{self._old}/delete/", post=1),
            "checkout": lambda: post("/cart/checkout"),
        }

    def _form(self, *, available: int) -> dict[str, Any]:
        return {
            "name": "Tea",
            "slug": "tea",
            "price": "3",
            "active": "on",
            "description": f"changed {self._asked} times",
            "stock-TOTAL_FORMS": 1,
            "stock-INITIAL_FORMS": 1,
            "stock-0-id": self._tea.stock.pk,
            "stock-0-product": self._tea.pk,
            "stock-0-available": available,
        }


def counts(shop: Shop, times: int) -> Iterator[tuple[str, dict[str, list[int]]]]:
    """Ask for every page *times*, one after the other, in each setting."""
    settings = shop.connection.settings_dict
    # What Django itself remembers from then on, of its models, is there.
    Visit(shop).ask(next(case for case in CASES if case.name == "change"))
    for age in (0, None) if shop.stock else (0,):
        for atomic in (False, True):
            shop.close()
            settings |= {"CONN_MAX_AGE": age, "ATOMIC_REQUESTS": atomic}
            visit = Visit(shop)
            found: dict[str, list[int]] = {case.name: [] for case in CASES}
            for _ in range(times):
                for case in CASES:
                    found[case.name].append(visit.ask(case))
            yield f"{'on' if atomic else 'off'} {age}", found


def main(lab: str, backend: str, times: str) -> None:
    """Print what was counted."""
    warnings.simplefilter("error")
    with suppress(PermissionError):
        # What is kept waiting between two parts of a trip makes two of it.
        os.nice(-10)
    shop = open_shop(Lab.attach(lab), stock=backend == "stock")
    shop.open()
    shop.settle()
    print(json.dumps(dict(counts(shop, int(times)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
