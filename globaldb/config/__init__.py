"""Configuration: what to connect to and how, from wherever it was said."""

from __future__ import annotations

from globaldb.config.address import NodeAddress, parse_node
from globaldb.config.option import Option
from globaldb.config.options import OPTIONS
from globaldb.config.resolve import configure
from globaldb.config.secret import DriverOptions, Secret
from globaldb.config.settings import Config
from globaldb.config.url import redact
from globaldb.core.consistency import Consistency, parse_consistency

__all__ = [
    "OPTIONS",
    "Config",
    "Consistency",
    "DriverOptions",
    "NodeAddress",
    "Option",
    "Secret",
    "configure",
    "parse_consistency",
    "parse_node",
    "redact",
]
