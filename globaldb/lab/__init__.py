"""Real servers in regions on one machine, with the delays of the world between them."""

from __future__ import annotations
