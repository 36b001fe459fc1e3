"""What visitors send."""

from __future__ import annotations

from django import forms
from django.contrib.auth.models import User


class AddToCart(forms.Form):
    """How many of a product to put into the cart."""

    quantity = forms.IntegerField(min_value=1, max_value=99, initial=1)


class Profile(forms.ModelForm):
    """Who a user is."""

    class Meta:
        model = User
        fields = ("first_name", "last_name", "email")
