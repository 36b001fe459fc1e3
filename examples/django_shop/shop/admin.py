"""The shop from behind the counter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.db.models import F

from shop.models import Order, OrderLine, Product, Stock

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest


class StockInline(admin.StackedInline):
    """How many of a product are left, beside it."""

    model = Stock
    extra = 0


@admin.action(description="Ten more of each")
def restock(
    model_admin: admin.ModelAdmin[Product],
    request: HttpRequest,
    queryset: QuerySet[Product],
) -> None:
    """Put ten more of each product on its shelf."""
    shelves = Stock.objects.filter(product__in=queryset.values_list("pk", flat=True))
    count = shelves.update(available=F("available") + 10)
    model_admin.message_user(request, f"{count} products have ten more.")


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    """Products, with their stock."""

    list_display = ("name", "price", "active")
    list_filter = ("active",)
    list_select_related = ("stock",)
    search_fields = ("name", "description")
    prepopulated_fields = {"slug": ("name",)}
    inlines = (StockInline,)
    actions = (restock,)


class OrderLineInline(admin.TabularInline):
    """What was bought."""

    model = OrderLine
    autocomplete_fields = ("product",)
    extra = 0


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    """Orders, with their lines."""

    list_display = ("pk", "user", "status", "total", "created")
    list_filter = ("status",)
    list_select_related = ("user",)
    search_fields = ("user__username", "lines__product__name")
    date_hierarchy = "created"
    raw_id_fields = ("user",)
    inlines = (OrderLineInline,)
