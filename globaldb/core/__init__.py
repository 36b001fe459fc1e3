"""Decisions without I/O: no socket, thread, clock, randomness or driver in here."""

from __future__ import annotations
