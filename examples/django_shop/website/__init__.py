"""The site that the shop runs in."""
