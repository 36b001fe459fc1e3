"""What the text of a statement tells before anybody classifies it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from globaldb.core.lexer.mysql import tokenize

if TYPE_CHECKING:
    from collections.abc import Callable

#: Where Python's own formatting puts a value.
_PLACEHOLDER: Final = re.compile(r"%(?:\([^)]*\))?[^%()]")
#: Longer ones are loads; what is interpolated is looked at instead.
_LONGEST: Final = 64 * 1024


def stands_for(template: str) -> bool:
    """Whether *template* means what it means with any values put in.

    It does where each placeholder stands by itself: inside quotes or a comment a
    value would end what it stands in. A backslash may escape a quote or not, so there
    must be none.
    """
    if len(template) > _LONGEST or "\\" in template:
        return False
    tokens = tokenize(template)
    if tokens and tokens[-1].kind == "bad":
        return False
    values = sum(token.kind == "param" and token.text != "?" for token in tokens)
    return values == len(_PLACEHOLDER.findall(template.replace("%%", "")))


class Templates:
    """Which templates stand for whatever is put in; looked at once each."""

    __slots__ = ("_known", "_stands")

    #: Forgotten all at once when there are more.
    _MOST: Final = 4096

    def __init__(self, stands: Callable[[str], bool] = stands_for) -> None:
        self._known: dict[str, bool] = {}
        self._stands = stands

    def stands_for(self, template: str) -> bool:
        """Whether *template* means what it means with any values put in."""
        known = self._known.get(template)
        if known is None:
            known = self._stands(template)
            if len(self._known) >= self._MOST:
                self._known = {}
            self._known[template] = known
        return known
