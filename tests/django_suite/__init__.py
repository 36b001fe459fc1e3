"""Django's own tests, run with our engines."""

from __future__ import annotations
