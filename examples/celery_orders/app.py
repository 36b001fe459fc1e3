"""The application. ``DATABASE_URL`` and ``BROKER_URL`` say where its servers are."""

from __future__ import annotations

import os

from celery import Celery

from globaldb.celery import install

BROKER = os.environ.get("BROKER_URL", "redis://127.0.0.1:6379/0")

app = Celery("celery_orders", broker=BROKER, backend=BROKER)
app.conf.update(
    imports=["celery_orders.tasks"],
    broker_connection_retry_on_startup=True,
    # Tasks are small, and the broker is near: nobody hoards them.
    worker_prefetch_multiplier=1,
)

# The one line that is not Celery's own: a task sees what its sender has written.
install(app)
