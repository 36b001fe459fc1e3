"""What PyMySQL's tests find in a process of their own: a server, and how to connect.

``$SUITE`` says where they are, which server they get, and the URL of the cluster when
`pymysql.connect` is to be globaldb's.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pymysql

told = json.loads(os.environ["SUITE"])
pymysql.__path__.append(f"{told['folder']}/pymysql")

from pymysql.tests import base  # noqa: E402 - found only now

common = {"use_unicode": True, "local_infile": True}
base.PyMySQLTestCase.databases = [
    {**told["server"], "database": "test1", **common},
    {**told["server"], "database": "test2"},
]


def connect(**options: Any) -> Any:
    """Connect as the test asks, but to the cluster if it means this server."""
    import globaldb

    for name in NO_OPTIONS:
        options.pop(name, None)
    server = told["server"]
    if any(options.get(name) != value for name, value in server.items()):
        return globaldb.connect("mysql://", **options)
    others = {name: value for name, value in options.items() if name not in server}
    # What tests write on one connection is read on others at once.
    return globaldb.connect(told["url"], consistency="global", **others)


#: A configuration of globaldb stands in their place.
NO_OPTIONS = ("read_default_file", "read_default_group")

if told["url"]:
    pymysql.connect = connect
