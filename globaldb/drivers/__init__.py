"""What globaldb knows about each database driver, one package a driver."""

from __future__ import annotations
