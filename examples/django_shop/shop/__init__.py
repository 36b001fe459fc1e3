"""A shop: products, carts, orders and stock."""
