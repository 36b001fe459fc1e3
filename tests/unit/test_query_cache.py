"""The cache of classified texts: bounded, and transparent."""

from __future__ import annotations

from globaldb.core.query_cache import LONGEST, QueryCache
from globaldb.core.statement import Statement, Verdict


def counting():
    seen = []

    def classify(sql):
        seen.append(sql)
        return Statement(Verdict.READ, "select", str(len(seen)))

    return seen, classify


def test_a_text_is_classified_once():
    seen, classify = counting()
    cache = QueryCache(classify)
    assert cache.get("a") is None
    assert cache.lookup("a") is cache.lookup("a")
    assert cache.get("a") is cache.lookup("a")
    assert seen == ["a"]


def test_the_number_of_entries_is_bounded():
    _, classify = counting()
    cache = QueryCache(classify, entries=10)
    for number in range(1000):
        cache.lookup(str(number))
    assert 5 <= len(cache) <= 10


def test_the_size_of_the_texts_is_bounded():
    _, classify = counting()
    cache = QueryCache(classify, size=1000)
    for number in range(100):
        cache.lookup(f"{number:0100}")
    assert 1 <= len(cache) <= 10


def test_a_long_text_is_not_kept():
    seen, classify = counting()
    cache = QueryCache(classify)
    long = "x" * (LONGEST + 1)
    assert cache.lookup(long).verdict is Verdict.READ
    assert cache.lookup(long).verdict is Verdict.READ
    assert len(seen) == 2
    assert len(cache) == 0


def test_a_text_in_use_survives_those_used_once():
    seen, classify = counting()
    cache = QueryCache(classify, entries=10)
    for number in range(100):
        cache.lookup("hot")
        cache.lookup(str(number))
    assert seen.count("hot") == 1


def test_clearing_forgets_everything():
    seen, classify = counting()
    cache = QueryCache(classify)
    cache.lookup("a")
    cache.clear()
    cache.lookup("a")
    assert seen == ["a", "a"]


def test_what_was_classified_before_a_change_is_not_kept_after_it():
    seen, classify = counting()

    def classify_meanwhile(sql):
        cache.clear()
        return classify(sql)

    cache = QueryCache(classify_meanwhile)
    cache.lookup("a")
    cache.lookup("a")
    assert seen == ["a", "a"]


def test_a_text_on_its_way_when_all_is_forgotten_is_forgotten_too():
    _, classify = counting()
    cache = QueryCache(classify, entries=2)

    class Slow(str):
        """Measured on its way from the old generation to the young one."""

        __slots__ = ()

        def __len__(self):
            cache.clear()
            return 1

    cache.lookup("a")
    cache.lookup("b")
    cache.lookup(Slow("a"))
    assert len(cache) == 0
