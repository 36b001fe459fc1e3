"""MySQL and MariaDB as engines of the lab."""

from __future__ import annotations
