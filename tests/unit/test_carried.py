"""What a response with a token says to caches."""

from __future__ import annotations

import pytest

from globaldb.carried import private


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("", "private"),
        ("public", "private"),
        ("public, max-age=300", "max-age=300, private"),
        (
            "Public,S-maxage=9,stale-while-revalidate=1",
            "stale-while-revalidate=1, private",
        ),
        ("max-age=60", "max-age=60, private"),
        ("private, max-age=60", "private, max-age=60"),
        ("no-store", "no-store"),
        ('private="set-cookie"', 'private="set-cookie", private'),
    ],
)
def test_no_cache_that_users_share_may_keep_it(given: str, sent: str) -> None:
    assert private(given) == sent
