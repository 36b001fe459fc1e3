"""The shop's own tests: what it does, and where its statements run."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.test import TestCase, TransactionTestCase
from django.urls import reverse

from globaldb.django.test import AssertRoutes
from shop.models import CartItem, Order, Product, Stock


def sell_tea(available: int = 5) -> Product:
    tea = Product.objects.create(name="Tea", slug="tea", price=3)
    Stock.objects.create(product=tea, available=available)
    return tea


class Checkout(TestCase):
    """What is bought leaves the stock."""

    def setUp(self) -> None:
        self.tea = sell_tea()
        self.ada = User.objects.create_user("ada")
        self.client.force_login(self.ada)

    def put_into_cart(self, quantity: int) -> None:
        self.client.post(reverse("add_to_cart", args=["tea"]), {"quantity": quantity})

    def test_what_is_added_twice_is_in_the_cart_once(self) -> None:
        self.put_into_cart(1)
        self.put_into_cart(2)

        self.assertEqual(self.ada.cart.get().quantity, 3)

    def test_what_is_bought_leaves_cart_and_stock(self) -> None:
        self.put_into_cart(2)
        self.client.post(reverse("checkout"))

        order = Order.objects.get()
        self.assertEqual((order.total, order.lines.get().quantity), (6, 2))
        self.assertEqual(Stock.objects.get().available, 3)
        self.assertFalse(CartItem.objects.exists())

    def test_more_than_there_is_is_not_sold(self) -> None:
        self.put_into_cart(6)
        page = self.client.post(reverse("checkout"), follow=True)

        self.assertContains(page, "only 5 left")
        self.assertFalse(Order.objects.exists())


class Routes(AssertRoutes, TransactionTestCase):
    """Pages that only read do so beside the shop."""

    def test_a_list_is_read_at_the_reader(self) -> None:
        sell_tea()
        with self.assertRoutes(writer=0):
            self.client.get(reverse("products"))
