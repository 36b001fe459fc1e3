"""PEP 249 surfaces: connections, cursors and the modules that offer them."""

from __future__ import annotations
