"""A DB-API driver for databases that span regions."""

from __future__ import annotations
