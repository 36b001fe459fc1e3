"""Pages of the shop."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import UserCreationForm
from django.contrib.auth.mixins import LoginRequiredMixin
from django.db import transaction
from django.db.models import F
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse_lazy
from django.views.decorators.http import require_POST
from django.views.generic import CreateView, DetailView, ListView, UpdateView

from shop.checkout import NotSoldError, check_out
from shop.forms import AddToCart, Profile
from shop.models import CartItem, Favourite, Order, Product, Stock

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest


class Products(ListView):
    """What there is to buy, a page at a time."""

    paginate_by = 20

    def get_queryset(self) -> QuerySet[Product]:
        products = Product.objects.filter(active=True).select_related("stock")
        asked = self.request.GET.get("q", "")
        return products.filter(name__icontains=asked) if asked else products


class ProductPage(DetailView):
    """One product, and a form to put it into the cart."""

    queryset = Product.objects.filter(active=True).select_related("stock")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = self.request.user
        liked = (
            user.is_authenticated
            and user.favourites.filter(product=self.object).exists()
        )
        return super().get_context_data(form=AddToCart(), liked=liked, **kwargs)


# Django knows no transactions for these.
@transaction.non_atomic_requests
async def stock(request: HttpRequest, slug: str) -> JsonResponse:  # noqa: ARG001 - as Django calls it
    """Say how many are left, for a page that asks again and again."""
    try:
        shelf = await Stock.objects.aget(product__slug=slug)
    except Stock.DoesNotExist:
        raise Http404 from None
    return JsonResponse({"available": shelf.available})


class Cart(LoginRequiredMixin, ListView):
    """What the user is about to buy."""

    template_name = "shop/cart.html"

    def get_queryset(self) -> QuerySet[CartItem]:
        return self.request.user.cart.select_related("product")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        total = sum(item.quantity * item.product.price for item in self.object_list)
        return super().get_context_data(total=total, **kwargs)


@login_required
@require_POST
def add_to_cart(request: HttpRequest, slug: str) -> HttpResponse:
    """Put some of a product into the cart, beside what is there of it."""
    product = get_object_or_404(Product, slug=slug, active=True)
    form = AddToCart(request.POST)
    if not form.is_valid():
        return redirect(product)
    quantity = form.cleaned_data["quantity"]
    CartItem.objects.update_or_create(
        user=request.user,
        product=product,
        defaults={"quantity": F("quantity") + quantity},
        create_defaults={"quantity": quantity},
    )
    messages.success(request, f"{product} is in your cart.")
    return redirect("cart")


@login_required
@require_POST
def remove(request: HttpRequest, slug: str) -> HttpResponse:
    """Take a product out of the cart."""
    request.user.cart.filter(product__slug=slug).delete()
    return redirect("cart")


@login_required
@require_POST
def like(request: HttpRequest, slug: str) -> HttpResponse:
    """Remember that the user likes a product."""
    product = get_object_or_404(Product, slug=slug)
    Favourite.objects.get_or_create(user=request.user, product=product)
    return redirect(product)


@login_required
@require_POST
def checkout(request: HttpRequest) -> HttpResponse:
    """Buy what is in the cart."""
    try:
        order = check_out(request.user)
    except NotSoldError as reason:
        messages.error(request, str(reason))
        return redirect("cart")
    return redirect(order)


class Orders(LoginRequiredMixin, ListView):
    """What the user has bought."""

    def get_queryset(self) -> QuerySet[Order]:
        return self.request.user.orders.all()


class OrderPage(LoginRequiredMixin, DetailView):
    """One order."""

    def get_queryset(self) -> QuerySet[Order]:
        return self.request.user.orders.prefetch_related("lines__product")


class ProfilePage(LoginRequiredMixin, UpdateView):
    """Who the user is, to be changed."""

    form_class = Profile
    template_name = "shop/profile.html"
    success_url = reverse_lazy("profile")

    def get_object(self) -> Any:
        return self.request.user


class SignUp(CreateView):
    """A new user, who may log in."""

    form_class = UserCreationForm
    template_name = "registration/signup.html"
    success_url = reverse_lazy("login")


@staff_member_required
def orders_csv(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 - as Django calls it
    """All orders, for the books."""
    response = HttpResponse(content_type="text/csv")
    sheet = csv.writer(response)
    for order in Order.objects.select_related("user").iterator():
        sheet.writerow([order.pk, order.user.username, order.total, order.status])
    return response
