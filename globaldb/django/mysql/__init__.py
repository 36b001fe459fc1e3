"""The engine ``globaldb.django.mysql``: Django's own, with a routed connection.

For MySQL and MariaDB. The driver is PyMySQL; mysqlclient is not needed.
"""
