"""Clocks, threads and sockets: the thin shell around the decisions of core."""

from __future__ import annotations
