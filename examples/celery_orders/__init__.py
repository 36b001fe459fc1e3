"""Orders that are worked on behind the request: Celery, far from the writer."""
