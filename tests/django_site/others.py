"""What others' applications do with a connection, looked at as `observe` looks."""

from __future__ import annotations

import json
from typing import Any

# Configures Django, for the lab that the command line names.
import observe as site
from django.core.signals import request_finished
from django.db import close_old_connections, connection, connections
from shop.models import Item

site.SEEN[1:] = []


@site.observation
def closing() -> Any:
    """Whether a read sees what was written before its connection was closed."""
    found = {}
    for name, close in (
        ("close", connection.close),
        ("close_all", connections.close_all),
        (
            "twice",
            lambda: (connection.close(), Item.objects.count(), connection.close()),
        ),
    ):
        with site.lagging():
            Item.objects.create(name=name, price=1)
            close()
            found[name] = Item.objects.filter(name=name).exists()
    return found


@site.observation
def ending() -> Any:
    """Where the next request reads, behind one that wrote, by how that one ended."""
    found = {}
    for name, end in (
        ("request", lambda: request_finished.send(None)),
        ("job", close_old_connections),
        ("closed before", lambda: (connection.close(), close_old_connections())),
    ):
        with site.lagging():
            Item.objects.filter(name="tea").update(price=4)
            end()
            Item.objects.count()
            found[name] = site.role()
    return found


if __name__ == "__main__":
    print(json.dumps(site.observe(), default=str))
