"""The application. ``DATABASE_URL`` says where its database is, ``SECRET_KEY`` signs."""

from __future__ import annotations

import os

from flask import Flask

from flask_notes.models import db
from flask_notes.notes import pages
from globaldb.wsgi import CausalityMiddleware


def create_app(url: str | None = None) -> Flask:
    """Return the application, with its tables made."""
    app = Flask(__package__)
    app.config["SQLALCHEMY_DATABASE_URI"] = url or os.environ["DATABASE_URL"]
    db.init_app(app)
    app.register_blueprint(pages)
    with app.app_context():
        db.create_all()
    # The page behind a form shows what was saved, whichever process answers.
    secret = os.environ.get("SECRET_KEY", "only for development")
    app.wsgi_app = CausalityMiddleware(app.wsgi_app, secret=secret)
    return app
