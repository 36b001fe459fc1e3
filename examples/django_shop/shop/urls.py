"""Where the shop's pages are."""

from __future__ import annotations

from django.urls import path

from shop import views

urlpatterns = [
    path("", views.Products.as_view(), name="products"),
    path("products/<slug>/", views.ProductPage.as_view(), name="product"),
    path("products/<slug>/stock", views.stock, name="stock"),
    path("products/<slug>/add", views.add_to_cart, name="add_to_cart"),
    path("products/<slug>/remove", views.remove, name="remove"),
    path("products/<slug>/like", views.like, name="like"),
    path("cart/", views.Cart.as_view(), name="cart"),
    path("cart/checkout", views.checkout, name="checkout"),
    path("orders/", views.Orders.as_view(), name="orders"),
    path("orders/<int:pk>/", views.OrderPage.as_view(), name="order"),
    path("orders.csv", views.orders_csv, name="orders_csv"),
    path("profile/", views.ProfilePage.as_view(), name="profile"),
    path("accounts/signup/", views.SignUp.as_view(), name="signup"),
]
