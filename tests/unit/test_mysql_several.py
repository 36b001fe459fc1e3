"""What may travel in one text with other statements."""

from __future__ import annotations

import pytest

from globaldb.core.mysql.several import PLAIN, companionable


def alone(text: str, charset: str = "utf8mb4", *, escapes: bool = True) -> bool:
    return companionable(text.encode(), charset, backslash_escapes=escapes) is None


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("SELECT 1", "SELECT 1"),
        ("SELECT 1 ; \n", "SELECT 1"),
        ("(SELECT ';')", "(SELECT ';')"),
        ("/* a;b */ SELECT 1", "/* a;b */ SELECT 1"),
        ("SELECT 1 -- a;b", "SELECT 1 -- a;b"),
        ("SELECT `a;b`", "SELECT `a;b`"),
        (r"SELECT 'it\'s; so'", r"SELECT 'it\'s; so'"),
        (r"SELECT '\"a\"; b'", r"SELECT '\"a\"; b'"),
        ("SELECT 'é;'", "SELECT 'é;'"),
    ],
)
def test_one_statement_goes_along_without_its_semicolon(text, kept):
    found = companionable(text.encode(), "utf8mb4", backslash_escapes=True)
    assert found == kept.encode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ;",
        "-- only a comment",
        "/* only a comment */",
        "SELECT 1; SELECT 2",
        "SELECT 1; -- and a comment",
        "SELECT 1;; SELECT 2",
        "CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END",
        "SELECT 1 /*! ; SELECT 2 */",
        "SELECT 1 /*M! ; SELECT 2 */",
        "SELECT 'a; b",
        "SELECT 1 /* a; b",
        r'SELECT "\"; DROP TABLE t; -- "',
        r"SELECT '\'; SELECT 2; -- '" + "\n",
    ],
)
def test_what_may_be_several_or_none_travels_by_itself(text):
    assert alone(text, escapes=text.endswith('"'))


def test_how_the_server_reads_a_backslash_decides():
    text = r"SELECT '\'; SELECT 2; -- '"
    assert not alone(text, escapes=True)
    assert alone(text, escapes=False)


@pytest.mark.parametrize("charset", ["gbk", "sjis", "big5", "cp932", "gb18030", ""])
def test_a_semicolon_among_characters_with_ascii_inside_is_not_certain(charset):
    assert charset not in PLAIN
    assert alone("SELECT ';'", charset)
    assert not alone("SELECT 1;", charset)
