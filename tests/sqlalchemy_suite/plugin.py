"""Hands pytest over to SQLAlchemy's own tests; in a process of theirs alone."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("sqlalchemy.testing.assertions")

from sqlalchemy.testing.plugin.pytestplugin import *  # noqa: E402, F403 - it is one
