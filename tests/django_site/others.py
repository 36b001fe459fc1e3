"""What others' applications do with a connection, looked at as `observe` looks."""

from __future__ import annotations

import base64
import json
import pickle
from contextlib import nullcontext
from typing import Any

# Configures Django, for the lab that the command line names.
import observe as site
from django.core.cache.backends.db import DatabaseCache
from django.core.management import call_command
from django.core.signals import request_finished
from django.db import close_old_connections, connection, connections, transaction
from shop.models import Item

import globaldb

site.SEEN[1:] = []
TABLE = "others_cache"


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
    for name, end, following in (
        ("request", lambda: request_finished.send(None), nullcontext),
        ("job", close_old_connections, nullcontext),
        ("closed", lambda: (connection.close(), close_old_connections()), nullcontext),
        ("piece of work", connection.close, globaldb.session),
    ):
        with site.lagging():
            Item.objects.filter(name="tea").update(price=4)
            end()
            with following():
                Item.objects.count()
                found[name] = site.role()
    return found


@site.observation
def caching() -> Any:
    """What Django's cache in the database does, of which another has just set a key."""
    call_command("createcachetable", TABLE)
    cache = DatabaseCache(TABLE, {})
    found = {}
    with site.lagging():
        value = base64.b64encode(pickle.dumps("first")).decode()
        with connections["owner"].cursor() as cursor:
            # From elsewhere: what this process does at first, it has not learnt yet.
            cursor.executemany(
                f"INSERT INTO {TABLE} VALUES (%s, %s, '2999-01-01 00:00:00')",
                [(cache.make_key(key), value) for key in ("touch", "set", "inside")],
            )
        found["touch"] = cache.touch("touch")
        close_old_connections()
        cache.set("set", "second")
        found["set"] = cache.get("set")
        close_old_connections()
        with transaction.atomic():
            cache.set("inside", "second")
        found["inside"] = cache.get("inside")
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE {TABLE}")
    return found


if __name__ == "__main__":
    print(json.dumps(site.observe(), default=str))
