"""The command line: `globaldb lab`, `globaldb demo` and what diagnoses a cluster."""

from __future__ import annotations
