"""Tokens begin and end where the server's do."""

from __future__ import annotations

import time

import pytest

from globaldb.core.lexer.postgresql import fold, literal, single, tokenize


def texts(sql):
    return [(token.kind, token.text) for token in tokenize(sql)]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("Select A$1", [("name", "select"), ("name", "a$1")]),
        ("'it''s'", [("string", "'it''s'")]),
        ("'a\\'b", [("string", "'a\\'"), ("name", "b")]),
        ("E'a\\'b'", [("string", "E'a\\'b'")]),
        ("e'a'\n'\\''x", [("string", "e'a'\n'\\''"), ("name", "x")]),
        ("e'a' -- c'\n'\\''x", [("string", "e'a' -- c'\n'\\''"), ("name", "x")]),
        ("e'a' '\\'x", [("string", "e'a'"), ("string", "'\\'"), ("name", "x")]),
        ("xe'a'", [("name", "xe"), ("string", "'a'")]),
        ("b'1' X'f' n'a' u&'\\'", [("string", "b'1'"), ("string", "X'f'"),
                                   ("string", "n'a'"), ("string", "u&'\\'")]),
        ('"A""b" U&"c"', [("quoted", 'A"b'), ("quoted", 'U&"c"')]),
        ("$$ ' $a$ $$", [("string", "$$ ' $a$ $$")]),
        ("$a$ $A$ $a$", [("string", "$a$ $A$ $a$")]),
        ("x$a$ y", [("name", "x$a$"), ("name", "y")]),
        ("$1 %s %(a)s %%", [("param", "$1"), ("param", "%s"), ("param", "%(a)s"),
                            ("op", "%%")]),
        ("1.5e3 .5 1for 0x1F", [("number", "1.5e3"), ("number", ".5"),
                                ("number", "1"), ("name", "for"), ("number", "0x1F")]),
        ("a--b\nc/*d*/e", [("name", "a"), ("name", "c"), ("name", "e")]),
        ("a+--b", [("name", "a"), ("op", "+")]),
        ("/* /* */ ; */ a", [("name", "a")]),
        ("/**/a/***/b/*/**/*/", [("name", "a"), ("name", "b")]),
        ("a::b", [("name", "a"), ("op", "::"), ("name", "b")]),
        ("\u00a0a É", [("name", "\u00a0a"), ("name", "É")]),
        ("'a", [("bad", "")]),
        ("a 'b\\", [("name", "a"), ("bad", "")]),
        ('"a', [("bad", "")]),
        ("/* /* */", [("bad", "")]),
        ("$a$ $b$", [("bad", "")]),
        ("a \0 b", [("name", "a"), ("bad", "")]),
        ("%sum", [("bad", "")]),
        ("", []),
    ],
)  # fmt: skip
def test_a_text_is_cut_into_these_tokens(sql, expected):
    assert texts(sql) == expected


def test_tokens_know_where_they_stand():
    sql = "  SELECT /* c */ 'a' "
    assert [sql[t.start : t.end] for t in tokenize(sql)] == ["SELECT", "'a'"]


def test_only_ascii_letters_are_folded():
    assert fold("SELECT \u212a\u0130É") == "select \u212a\u0130É"


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("'it''s'", "it's"),
        ("$$a$$", "a"),
        ("$t$a$b$t$", "a$b"),
        ("E'it''s'", "it's"),
        ("E'a\\n'", None),
        ("U&'a'", None),
        ("a", None),
    ],
)
def test_a_literal_has_its_value(sql, value):
    assert literal(tokenize(sql)[0]) == value


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("a; ", True),
        ("a; b", False),
        ("a ';' \";\" E'\\';' $x$;$x$ --;\n /*;*/", True),
        ("a$x$; b$x$", False),
        ("'\\'; b '", False),
        ("E'\\'; b '", True),
        ("xE'\\'; b '", False),
        ("/* /* ; */ */ a", None),
        ("'a", None),
    ],
)
def test_one_statement_is_told_from_more(sql, expected):
    assert single(sql) is expected


@pytest.mark.parametrize(
    "piece",
    ["'", "E'", "E'\\", "''", '"', "$a$", "$a$ $b$", "$", "$a", "/*", "*/", "/*/", "--",
     "--\n", "-", "/", "a", "a ", "(", ")", ";", "%", "%s", "\\", "'a'\n", "E'a'\n",
     "U&'", "1e", "0x_", "1.", ".", "\u00a0", "\n", "for ", "select(", "a.", "(select ",
     "explain ", "prepare a as ", "with a as (", "f(", ",f(", "over ("],
)  # fmt: skip
def test_time_is_linear_in_the_text_however_hostile(piece):
    """A quadratic step would take minutes on these, not milliseconds."""
    size = 60_000 // len(piece)
    started = time.thread_time()
    for sql in (piece * size, "select " + piece * size, "select 1 " + piece * size):
        tokenize(sql)
        single(sql)
    assert time.thread_time() - started < 2.0
