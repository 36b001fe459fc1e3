"""Tokens of MySQL begin and end where the servers' do."""

from __future__ import annotations

import pytest
from linear import grows_linearly

from globaldb.core.lexer.mysql import (
    QUOTINGS,
    gates,
    literal,
    quotings,
    second,
    single,
    tokenize,
)


def texts(sql, *arguments):
    return [(token.kind, token.text) for token in tokenize(sql, *arguments)]


def names(sql, *arguments):
    return [token.text for token in tokenize(sql, *arguments)]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("Select A$1", [("name", "select"), ("name", "a$1")]),
        ("'it''s'", [("string", "'it''s'")]),
        ("'a\\'b'", [("string", "'a\\'b'")]),
        ("'\\\\' x", [("string", "'\\\\'"), ("name", "x")]),
        ('"a""b" "c\\"d"', [("string", '"a""b"'), ("string", '"c\\"d"')]),
        ("'a' 'b'", [("string", "'a'"), ("string", "'b'")]),
        ("n'a' X'41' b'01'", [("string", "n'a'"), ("string", "X'41'"), ("string", "b'01'")]),
        ("_utf8'a'", [("name", "_utf8"), ("string", "'a'")]),
        ("`A``b`.`c d`", [("quoted", "A`b"), ("op", "."), ("quoted", "c d")]),
        ("@A @`B c` @'d' @\"e\" @", [("variable", "@a"), ("variable", "@b c"),
                                     ("variable", "@d"), ("variable", "@e"),
                                     ("variable", "@")]),
        ("@@global.x", [("op", "@@"), ("name", "global"), ("op", "."), ("name", "x")]),
        ("@a:=1", [("variable", "@a"), ("op", ":="), ("number", "1")]),
        ("%s %(a)s %% ?", [("param", "%s"), ("param", "%(a)s"), ("op", "%%"), ("param", "?")]),
        ("1.5e3 .5 1. 0x1F 0b01", [("number", "1.5e3"), ("number", ".5"), ("number", "1."),
                                   ("number", "0x1F"), ("number", "0b01")]),
        ("1e 1for 0xfg 0B1", [("name", "1e"), ("name", "1for"), ("name", "0xfg"),
                              ("name", "0b1")]),
        ("a.1b", [("name", "a"), ("op", "."), ("name", "1b")]),
        ("1.for", [("number", "1."), ("name", "for")]),
        ("a # b ' \nc", [("name", "a"), ("name", "c")]),
        ("a -- b ' \nc --", [("name", "a"), ("name", "c")]),
        ("1--1", [("number", "1"), ("op", "-"), ("op", "-"), ("number", "1")]),
        ("a/* ' */b /*+ hint */", [("name", "a"), ("name", "b")]),
        ("2*/*c*/3", [("number", "2"), ("op", "*"), ("number", "3")]),
        ("/* /* */ a", [("name", "a")]),
        ("\u00a0a é", [("name", "\u00a0a"), ("name", "é")]),
        ("'", [("bad", "")]),
        ("a /* b", [("name", "a"), ("bad", "")]),
        ("a \0", [("name", "a"), ("bad", "")]),
        ("/*! a", [("name", "a"), ("bad", "")]),
    ],
)  # fmt: skip
def test_a_text_has_these_tokens(sql, expected):
    assert texts(sql) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("a /*!99999 b */ c", ["a", "c"]),
        ("a /*!99999 b /* d */ e */ c", ["a", "c"]),
        ("a /*!50000 b */ c", ["a", "b", "c"]),
        ("a /*!50000b*/ c", ["a", "b", "c"]),
        ("a /*! b /* x */ d */ c", ["a", "b", "d", "c"]),
        ("a /*!1234 b */", ["a", "1234", "b"]),
        ("a /*!050000 b */", ["a", "b"]),
        ("/*!50000 2*/*/*c*/3", ["2", "*", "3"]),
        ("'/*!99999' a '*/'", ["'/*!99999'", "a", "'*/'"]),
    ],
)
def test_an_executable_comment_is_read_if_the_server_reads_it(sql, expected):
    assert names(sql, QUOTINGS[0], lambda gate: gate != "!99999") == expected


def test_the_gates_of_a_text_are_those_of_its_executable_comments():
    sql = "/*!50000 a */ /*M!100100 b */ /*! c */ /* d */ /*!1234 e */"
    assert gates(sql) == {"!50000", "M!100100", "!"}


def test_without_backslash_escapes_a_string_ends_at_its_quote():
    assert names("'a\\' b '", QUOTINGS[2]) == ["'a\\'", "b", ""]
    assert names('"a\\" b', QUOTINGS[1]) == ['"a\\"', "b"]
    assert names("'a\\' b '", QUOTINGS[1]) == ["'a\\' b '"]


def test_only_a_backslash_before_a_quote_reads_in_several_ways():
    assert quotings("'a\\n' \"b\"") == QUOTINGS[:1]
    assert quotings("'a\\''") == (QUOTINGS[0], QUOTINGS[2])
    assert quotings('"a\\""') == QUOTINGS


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        ("INSERT INTO a VALUES (';', \"--\", `;`)", True),
        ("INSERT INTO a VALUES (1); -- b ;\n/* ; */ # ;", True),
        ("INSERT INTO a VALUES (1); SELECT 2", False),
        ("INSERT INTO a VALUES ('\\';'); ", True),
        ("INSERT INTO a VALUES (1) /*! ; */", None),
        ("INSERT INTO a VALUES ('; )", None),
    ],
)
def test_a_glance_tells_one_statement_from_several(sql, answer):
    assert single(sql) is answer


def test_a_second_statement_begins_elsewhere_without_backslashes():
    sql = "INSERT INTO a VALUES ('\\';b', 1)"
    assert second(sql) == len(sql)
    assert second(sql, QUOTINGS[2]) == sql.index("b")


def test_the_value_of_a_plain_string_is_known():
    assert [literal(token) for token in tokenize("'a''b' \"c\" 'd\\n' n'e' f 1")] == [
        "a'b",
        "c",
        None,
        None,
        None,
        None,
    ]


@pytest.mark.parametrize(
    "piece",
    ["/*", "/*!", "*/", "'", "\\'", '"', "`", "@", "@`", "--", "#", "/*!50000 ", "0x",
     "1e", "%(", "a", "/*/", "/*!99999 /*", "(", "''", "\\"],
)  # fmt: skip
def test_the_time_grows_with_the_text_and_no_faster(piece):
    def take_apart(text):
        tokenize(text, QUOTINGS[0], lambda _gate: False)
        single(text)

    assert grows_linearly(take_apart, piece, size=5_000)
