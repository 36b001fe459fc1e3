"""The engine ``globaldb.django.mysql``: Django's own, with a routed connection.

For MySQL and MariaDB. The driver is PyMySQL; mysqlclient is not needed.
"""

from __future__ import annotations

from globaldb.django.mysql.naming import name_pymysql

# Before `base` imports Django's modules, which import their driver by name.
name_pymysql()
