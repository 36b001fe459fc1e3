"""What the shop sells, and who has asked for it."""

from __future__ import annotations

from django.db import models


class Item(models.Model):
    name = models.CharField(max_length=50, unique=True)
    price = models.DecimalField(max_digits=8, decimal_places=2, default=1)
    opens = models.TimeField(null=True)
    seen_at = models.DateTimeField(null=True)
    facts = models.JSONField(default=dict)

    class Meta:
        ordering = ("name",)


class Order(models.Model):
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="orders")
    count = models.PositiveIntegerField(default=1)
