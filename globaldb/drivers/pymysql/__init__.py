"""MySQL and MariaDB through PyMySQL."""

from __future__ import annotations
