"""Notes on a page: Flask and Flask-SQLAlchemy, in a region without the writer."""
