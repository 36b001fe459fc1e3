"""The engine ``globaldb.django.postgresql``: Django's own, with a routed connection."""
