"""Which statements a door lets in, judged by the engine's own parser.

Every door: one statement a request, and no INTO OUTFILE or FROM INFILE, which would touch this machine's files on the
client's behalf. A GET reads only. The read-only door takes queries alone, and refuses by name the two functions
that no grant covers: ``file()`` as an expression and the table function ``Python()``. What the engine enforces itself
(grants, `readonly`) is not repeated here.

Not enforced: who asks (there are no users); which rows a reader sees; what a view or an SQL function made through the
read-write door does when the read-only door calls it; ``file()`` and ``Python()`` on the read-write door, whose
clients are trusted; the schema and template files that a few input and output formats read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from projections.embedded.errors import ClickHouseError, from_engine, refusal
from projections.embedded.statement import Token, first_word, has_words, tokens

READER_WORDS = frozenset({"SELECT", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "WITH", "EXISTS"})
_FILE_WORDS = frozenset({"BACKUP", "COPY", "EXECUTE", "RESTORE"})
_SESSION_WORDS = frozenset({"SET", "USE"})
_OUR_QUESTION = re.compile(r"(: )?:? In scope SELECT formatQuery\(.*\)(?=\. \()", re.DOTALL)
_NAME_PARAMETER = re.compile(rb"{\s*(\w+)\s*:\s*Identifier\s*}", re.IGNORECASE)
_UNGRANTED_FUNCTIONS = frozenset({"FILE", "PYTHON"})


class Effect(Enum):
    """What a statement does, as far as a door cares."""

    READS = "reads"
    WRITES = "writes"
    CONTROLS = "controls"


@dataclass(frozen=True, slots=True)
class Door:
    """One listening port: its name in errors, whether it only reads, and whether it listens on loopback alone."""

    name: str
    readonly: bool
    is_local: bool = True


class Judge:
    """Judges statements with the engine's parser. Not thread-safe: one thread owns it (the event loop's)."""

    def __init__(self, connection: Any, version: str) -> None:
        self._connection = connection
        self._version = version

    def admit(self, text: bytes, door: Door, is_get: bool) -> Effect:
        """What one statement does; raises `ClickHouseError` where the door does not take it."""
        effect, count = self.classify(text)
        if count == 0:
            raise self._syntax_error(text)
        if count > 1:
            raise refusal("SYNTAX_ERROR", f"One statement a request: this one has {count}.")
        word = first_word(text)
        to_file = word in READER_WORDS or word in _FILE_WORDS or has_words(text, b"INTO", b"OUTFILE")
        if effect is Effect.CONTROLS and to_file:  # a query that is not a plain read writes a file
            raise refusal("NOT_IMPLEMENTED", "INTO OUTFILE and other access to the server's files is not served.")
        if has_words(text, b"FROM", b"INFILE"):
            raise refusal("NOT_IMPLEMENTED", "FROM INFILE is not served: send the data in the body.")
        if door.readonly and (effect is not Effect.READS or word not in READER_WORDS):
            raise refusal("READONLY", f"Door {door.name} takes {', '.join(sorted(READER_WORDS))} only.")
        if is_get and not (effect is Effect.READS or word in _SESSION_WORDS):
            raise refusal("READONLY", "Method GET implies readonly. Use method POST for modifying queries.")
        return effect

    def classify(self, text: bytes) -> tuple[Effect, int]:
        """The effect of `text` and how many statements it has; none, where the whole of it does not parse."""
        report = self._connection._conn.classify_query(text)  # the engine offers it on its raw handle only
        kind = report["query_class"].name
        if kind == "CONTROL":
            return Effect.CONTROLS, report["statement_count"]
        if kind.startswith("MUTATING"):
            return Effect.WRITES, report["statement_count"]
        return Effect.READS, report["statement_count"]

    def _syntax_error(self, text: bytes) -> ClickHouseError:
        """The engine's words about a text that does not parse; nothing of it is run, its good beginning neither."""
        quoted = text.replace(b"\\", b"\\\\").replace(b"'", b"\\'")
        try:
            self._connection.query(b"SELECT formatQuery('" + quoted + b"') FORMAT Null")
        except Exception as error:  # whatever the engine raises is the answer
            words = from_engine(error, self._version)
            return ClickHouseError(words.code, words.name, _OUR_QUESTION.sub("", str(words)))
        return refusal("SYNTAX_ERROR", "The statement does not parse.")


def ungranted_function(canonical: bytes, parameters: Mapping[str, str]) -> ClickHouseError | None:
    """The refusal of a query, formatted by the engine, that names a function no grant can forbid; else None.

    The name alone is enough, because `arrayMap(file, ...)` and `APPLY file` call by it; so nothing else can go by these
    names but an alias that is given and not used. A parameter may stand for a name too.
    """
    before = b""
    for token in tokens(canonical):
        if _is_ungranted(token) and before != b"AS":
            return _refused(token.text)
        before = token.text
    for name in _NAME_PARAMETER.findall(canonical):
        value = parameters.get(name.decode(), "").encode("utf-8", "surrogateescape")
        if _bare(value) in _UNGRANTED_FUNCTIONS:
            return _refused(value)
    return None


def _is_ungranted(token: Token) -> bool:
    return token.kind in ("word", "quoted") and _bare(token.text) in _UNGRANTED_FUNCTIONS


def _bare(name: bytes) -> str:
    return name.strip(b'`" \t\r\n').decode(errors="replace").upper()


def _refused(name: bytes) -> ClickHouseError:
    function = _bare(name).lower()
    return refusal("READONLY", f"The function {function}() reaches outside the database and is refused on this door.")
