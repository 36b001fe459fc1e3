"""PyMySQL under the name by which Django's modules import their driver."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Final

import pymysql
import pymysql.constants.FIELD_TYPE
import pymysql.converters
import pymysql.cursors

_NAME: Final = "MySQLdb"


def name_pymysql() -> None:
    """Let ``import MySQLdb`` and what is below it find PyMySQL.

    Does nothing where mysqlclient is installed: of it Django's modules take constants
    alone, and those are the same.
    """
    known = sys.modules.get(_NAME)
    if known is None and find_spec(_NAME) is not None:
        return
    if known not in (None, pymysql):
        return
    pymysql.install_as_MySQLdb()
    below = [name for name in sys.modules if name.startswith("pymysql.")]
    for name in below:
        # Imported by the other name they would be made a second time, and take the
        # places of the first: no error would be recognised any more.
        sys.modules[_NAME + name.removeprefix("pymysql")] = sys.modules[name]
