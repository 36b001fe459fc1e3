"""Pages: some only read, one saves a form."""

from __future__ import annotations

from django import forms
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from .models import Item, Order


class ItemForm(forms.ModelForm):
    class Meta:
        model = Item
        fields = ("price",)


def shelf(request: HttpRequest) -> HttpResponse:
    """Read a page of items, whether there are orders, and one item."""
    items = [item.name for item in Item.objects.all()[:20]]
    ordered = Order.objects.filter(item__name="tea").exists()
    tea = get_object_or_404(Item, name="tea")
    return JsonResponse({"items": items, "ordered": ordered, "price": str(tea.price)})


@csrf_exempt
def edit(request: HttpRequest, name: str) -> HttpResponse:
    """Save a form."""
    item = get_object_or_404(Item, name=name)
    form = ItemForm(request.POST, instance=item)
    assert form.is_valid()
    form.save()
    return redirect("/shelf")


def where(request: HttpRequest) -> HttpResponse:
    """Read one item; say what it costs, and where that was read."""
    price = Item.objects.get(name="tea").price
    route = connection.connection.last_route
    return JsonResponse({"price": str(price), "why": route.reason})


urlpatterns = [
    path("shelf", shelf),
    path("edit/<name>", edit),
    path("where", where),
]
