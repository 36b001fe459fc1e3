"""Histories: programs of several sessions, what came of them, and what may not.

`program` draws them, `player` carries them out on a lab, `history` holds what
happened, `checker` finds the promises it breaks.
"""

from __future__ import annotations
