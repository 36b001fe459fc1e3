"""Orders of a shop over HTTP: FastAPI and SQLAlchemy, in a region without the writer."""
