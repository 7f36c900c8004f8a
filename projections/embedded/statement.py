"""ClickHouse SQL text, cut where an HTTP door has to cut it.

A lexer, not a parser: it finds where an INSERT's data begin and where a query's FORMAT clause stands, stepping over
strings, quoted names and comments. What a statement *does* is judged by the engine's own parser (`admission`); a cut
in the wrong place can therefore only end in a syntax error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    rb"""
      (?P<skip>[\s\x00]+ | --[^\n]* | \#[\ !][^\n]* | /\*.*?\*/)
    | (?P<string>'(?:[^'\\]|\\.|'')*' | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ | \xe2\x80\x98.*?\xe2\x80\x99)
    | (?P<quoted>`(?:[^`\\]|\\.|``)*` | "(?:[^"\\]|\\.|"")*" | \xe2\x80\x9c.*?\xe2\x80\x9d)
    | (?P<word>[A-Za-z_][A-Za-z0-9_$]*)
    | (?P<number>[0-9][A-Za-z0-9_.]*)
    | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_LINE_START = re.compile(rb"[ \t\f\v]*(?:\r?\n)?")


@dataclass(frozen=True, slots=True)
class Token:
    """One lexeme: what it is, its text (words in upper case), its place in bytes and its depth in brackets."""

    kind: str
    text: bytes
    start: int
    end: int
    depth: int


@dataclass(frozen=True, slots=True)
class Insertion:
    """An INSERT that waits for data: `head` is the statement without FORMAT, `data_start` where the data begin.

    `format` is empty where the statement names none.
    """

    head: bytes
    format: str
    data_start: int


def tokens(text: bytes) -> Iterator[Token]:
    """The lexemes of `text` in order, without blanks and comments."""
    depth = 0
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "sign"
        if kind == "tag":
            kind = "string"
        if kind == "skip":
            continue
        lexeme = match.group()
        if lexeme in (b")", b"]", b"}"):
            depth -= 1
        yield Token(kind, lexeme.upper() if kind == "word" else lexeme, match.start(), match.end(), depth)
        if lexeme in (b"(", b"[", b"{"):
            depth += 1


def first_word(text: bytes) -> str:
    """The first keyword in upper case, opening brackets aside; empty where there is none."""
    for token in tokens(text):
        if token.kind == "word":
            return token.text.decode()
        if token.text != b"(":
            break
    return ""


def has_words(text: bytes, first: bytes, second: bytes) -> bool:
    """Whether two keywords (upper case) follow one another directly."""
    previous = b""
    for token in tokens(text):
        word = token.text if token.kind == "word" else b""
        if previous == first and word == second:
            return True
        previous = word
    return False


def insertion(text: bytes) -> Insertion | None:
    """How to cut an INSERT with data; None for any other statement, INSERT ... SELECT and FROM INFILE included."""
    found = list(_opening(text))
    if len(found) < 3 or found[0].text != b"INSERT" or found[0].kind != "word":
        return None
    last = found[-1]
    if last.kind == "word" and last.text in (b"SELECT", b"WITH", b"INFILE"):
        return None
    if last.kind == "word" and last.text == b"VALUES":
        return Insertion(text[: last.start], "Values", last.end)
    if len(found) > 3 and found[-2].text == b"FORMAT" and found[-2].kind == "word":
        line_start = _LINE_START.match(text, last.end)
        assert line_start is not None, "the pattern matches the empty string"
        name = text[last.start : last.end].decode()
        return Insertion(text[: found[-2].start], name, line_start.end())
    return Insertion(text[: last.start if last.text == b";" else last.end], "", len(text))


def _opening(text: bytes) -> Iterator[Token]:
    """The tokens of an INSERT up to and with the one that decides what it is."""
    previous: Token | None = None
    for count, token in enumerate(tokens(text)):
        yield token
        if count == 0 and token.text != b"INSERT":
            return
        is_word = token.kind == "word"
        if count > 1 and is_word and token.depth == 0 and token.text in (b"SELECT", b"WITH", b"VALUES"):
            return
        if previous is not None and previous.kind == "word" and is_word:
            if previous.text == b"FORMAT" and previous.depth == 0:
                return
            if previous.text == b"FROM" and token.text == b"INFILE":
                return
        opens_query = is_word and token.depth == 1 and token.text in (b"SELECT", b"WITH")
        if previous is not None and previous.text == b"(" and opens_query:
            return
        if token.text == b";" and token.depth == 0:
            return
        previous = token


def without_end(text: bytes) -> bytes:
    """The statement without closing semicolons, blanks and comments."""
    end = 0
    for token in tokens(text):
        if token.text != b";":
            end = token.end
    return text[:end]


def format_clause(text: bytes) -> tuple[int, str] | None:
    """Where the last top-level FORMAT clause begins, and the format it names; None where there is none."""
    found: tuple[int, str] | None = None
    previous: Token | None = None
    for token in tokens(text):
        are_words = previous is not None and previous.kind == token.kind == "word"
        if previous is not None and are_words and previous.text == b"FORMAT" and token.depth == 0:
            found = previous.start, text[token.start : token.end].decode()
        previous = token
    return found
