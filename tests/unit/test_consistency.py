"""The words for consistency, as a person writes them."""

from __future__ import annotations

import pytest

from globaldb.core.consistency import Consistency, parse_consistency
from globaldb.errors import ConfigurationError


@pytest.mark.parametrize("level", list(Consistency))
def test_every_level_is_read_from_its_own_word_in_any_case(level):
    assert parse_consistency(f" {level.value.upper()} ") is level


@pytest.mark.parametrize("text", ["off", "NONE", "", "  "])
def test_no_consistency_has_three_spellings(text):
    assert parse_consistency(text) is None


def test_an_unknown_word_is_refused_with_the_known_ones():
    with pytest.raises(
        ConfigurationError, match="'session', 'global', 'eventual' or 'off'"
    ):
        parse_consistency("strong")
