"""``manage.py fill_shelves``: something to buy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils.text import slugify

from shop.models import Product, Stock

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

NAMES = ("Cake", "Coffee", "Cup", "Kettle", "Milk", "Spoon", "Sugar", "Tea")


class Command(BaseCommand):
    """Puts products on the shelves that are not there yet."""

    help = "Put some products into the shop."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--each", type=int, default=100, help="how many of each")

    def handle(self, *_: Any, **options: Any) -> None:
        products = [
            Product(name=name, slug=slugify(name), price=len(name)) for name in NAMES
        ]
        with transaction.atomic():
            Product.objects.bulk_create(products, ignore_conflicts=True)
            # Those that were there have another key than the objects above.
            bare = Product.objects.filter(stock=None)
            Stock.objects.bulk_create(
                Stock(product=each, available=options["each"]) for each in bare
            )
        if options["verbosity"]:
            self.stdout.write(f"{Product.objects.count()} products")
