"""Settings of the shop: one database, spread over regions, under one alias."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

#: What ``globaldb lab url --region ap-south-1`` prints.
DATABASE_URL = os.environ.get(
    "DATABASE_URL", "postgresql://app@127.0.0.1/app?region=ap-south-1"
)


def database(url: str) -> dict[str, Any]:
    """Return what Django wants to know of *url*."""
    parts = urlsplit(url)
    engine = "postgresql" if parts.scheme.startswith("postgres") else "mysql"
    options: dict[str, Any] = {
        name: values if name == "node" else values[-1]
        for name, values in parse_qs(parts.query).items()
    }
    return {
        "ENGINE": f"globaldb.django.{engine}",
        "NAME": parts.path[1:],
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": "" if "node" in options else parts.hostname or "",
        "PORT": "" if "node" in options else str(parts.port or ""),
        "OPTIONS": {"globaldb": options},
        # Tests read where the shop would, instead of at the writer.
        "TEST": {"GLOBALDB_ROUTE": "auto"},
    }


DATABASES = {"default": database(DATABASE_URL)}

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "globaldb.django",
    "shop",
]
MIDDLEWARE = [
    "globaldb.django.middleware.CausalityMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "website.urls"
WSGI_APPLICATION = "website.wsgi.application"

# Sessions are rows of the same database: who has logged in at the writer is known
# to the page behind the redirect. Django's own backend costs two trips more there.
SESSION_ENGINE = "globaldb.django.sessions"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "cart"
LOGOUT_REDIRECT_URL = "products"

DEBUG = os.environ.get("SHOP_DEBUG", "1") == "1"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
SECRET_KEY = os.environ.get("SHOP_SECRET_KEY", "for development, and nothing else")
# Cookies of a development server travel without TLS.
GLOBALDB_TOKEN_SECURE = not DEBUG

STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
