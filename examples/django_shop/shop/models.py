"""What the shop sells, who wants it, and how much is left."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.urls import reverse


class Product(models.Model):
    """Something to buy."""

    name = models.CharField(max_length=100)
    slug = models.SlugField(unique=True)
    description = models.TextField(blank=True)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    active = models.BooleanField(default=True)

    class Meta:
        ordering = ("name", "pk")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("product", args=[self.slug])


class Stock(models.Model):
    """How many of a product are left."""

    product = models.OneToOneField(Product, models.CASCADE, related_name="stock")
    available = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name_plural = "stock"

    def __str__(self) -> str:
        return f"{self.available} left"


class CartItem(models.Model):
    """What a user is about to buy."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="cart"
    )
    product = models.ForeignKey(Product, models.CASCADE)
    quantity = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ("pk",)
        constraints = (
            models.UniqueConstraint(fields=("user", "product"), name="once_in_a_cart"),
        )

    def __str__(self) -> str:
        return f"{self.quantity} x {self.product_id}"


class Favourite(models.Model):
    """What a user likes."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="favourites"
    )
    product = models.ForeignKey(Product, models.CASCADE)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("user", "product"), name="liked_once"),
        )

    def __str__(self) -> str:
        return f"{self.user_id} likes {self.product_id}"


class Order(models.Model):
    """What a user has bought."""

    class Status(models.TextChoices):
        NEW = "new"
        SENT = "sent"

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="orders"
    )
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.NEW)
    total = models.DecimalField(max_digits=10, decimal_places=2)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"order {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("order", args=[self.pk])


class OrderLine(models.Model):
    """One product of an order, at the price it had."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, models.PROTECT)
    quantity = models.PositiveIntegerField()
    price = models.DecimalField(max_digits=8, decimal_places=2)

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return f"{self.quantity} x {self.product_id}"
