"""Settings of Django's tests: one of two backends, as `$DJANGO_SUITE` says."""

from __future__ import annotations

import json
import os

import django

import globaldb.django.mysql  # noqa: F401 - the stock backend gets PyMySQL, too

TOLD = json.loads(os.environ["DJANGO_SUITE"])
FAMILY = "postgresql" if TOLD["engine"] == "postgresql" else "mysql"


def _database(name: str) -> dict[str, object]:
    test = {"NAME": f"{name}_{TOLD['backend']}", "GLOBALDB_ROUTE": TOLD["route"]}
    if FAMILY == "mysql":
        test |= {"CHARSET": "utf8mb4", "COLLATION": "utf8mb4_general_ci"}
    told = {**TOLD["login"], "TEST": test}
    if TOLD["backend"] == "stock":
        return {**told, "ENGINE": f"django.db.backends.{FAMILY}", **TOLD["writer"]}
    options = {"globaldb": {"node": TOLD["nodes"], "region": TOLD["region"]}}
    return {**told, "ENGINE": f"globaldb.django.{FAMILY}", "OPTIONS": options}


DATABASES = {"default": _database("one"), "other": _database("two")}
SECRET_KEY = "of tests"
USE_TZ = False
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if django.VERSION < (6,):
    # The default of later ones is what their tests are about.
    DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
TEST_RUNNER = "django_suite.recording.RecordingRunner"
