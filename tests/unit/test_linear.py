"""The check of linear time sees work that is not."""

from __future__ import annotations

from linear import grows_linearly


def quadratic(text: str) -> None:
    for start in range(0, len(text), 10):
        text.count("b", start)


def test_quadratic_work_is_seen() -> None:
    assert grows_linearly(lambda text: text.count("a"), "a", size=12_000)
    assert grows_linearly(
        lambda text: [sign == "b" for sign in text], "ab", size=12_000
    )
    assert not grows_linearly(quadratic, "a", size=5_000)
