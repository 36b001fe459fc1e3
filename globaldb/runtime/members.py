"""Which nodes a cluster has, and what the names meant of those that have left it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from globaldb.runtime.node import Node

#: So many that have left are remembered, for who has just chosen one of them.
_REMEMBERED: Final = 64


class Members:
    """The nodes of one cluster. Changed under its lock, read without."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        #: Never changed in place: another mapping comes when a node comes or goes.
        self.present: Mapping[str, Node] = {node.name: node for node in nodes}
        self._left: dict[str, Node] = {}

    def add(self, node: Node) -> None:
        """Have *node*, in the place of any that has had its name."""
        self.present = {**self.present, node.name: node}

    def remove(self, node: Node) -> None:
        """Have *node* no more."""
        # First here, then not there: it is found in one of the two at any time.
        self._left.pop(node.name, None)
        self._left[node.name] = node
        if len(self._left) > _REMEMBERED:
            del self._left[next(iter(self._left))]
        self.present = {k: n for k, n in self.present.items() if k != node.name}

    def find(self, name: str) -> Node | None:
        """Return the node called *name*, or the last one that had this name."""
        return self.present.get(name) or self._left.get(name)
