"""Discovery: which nodes a cluster has, found out beside those that are named."""

from __future__ import annotations
