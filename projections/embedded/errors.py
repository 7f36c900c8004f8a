"""Errors as ClickHouse's HTTP interface tells them.

An error is a code, a name and a sentence: ``Code: 60. DB::Exception: ... (UNKNOWN_TABLE)``. The name decides the HTTP
status as in ClickHouse; before the first byte of an answer it is the answer, after it a tagged block inside the
body. Raising is left to the others.
"""

from __future__ import annotations

import re

_CODE = re.compile(r"Code: (\d+)\. DB::Exception: ")
_REPEATED = re.compile(r"^(?:Code: \d+\. DB::Exception: )+(?=Code: \d+\. DB::Exception: )")
_NAME = re.compile(r"\(([A-Z][A-Z0-9_]+)\)")
_VERSION = re.compile(r" \(version [^)]*\)")
_SHORT = {
    "ACCESS_DENIED": 497,
    "BAD_ARGUMENTS": 36,
    "INCORRECT_DATA": 117,
    "NOT_IMPLEMENTED": 48,
    "QUERY_IS_TOO_LARGE": 229,
    "READONLY": 164,
    "SESSION_IS_LOCKED": 373,
    "SESSION_NOT_FOUND": 372,
    "SYNTAX_ERROR": 62,
    "UNKNOWN_EXCEPTION": 1002,
    "UNKNOWN_FORMAT": 73,
    "UNKNOWN_SETTING": 115,
}
_STATUS_OF_NAMES = {
    400: """BAD_ARGUMENTS CANNOT_COMPILE_REGEXP CANNOT_PARSE_TEXT CANNOT_PARSE_ESCAPE_SEQUENCE
        CANNOT_PARSE_QUOTED_STRING CANNOT_PARSE_DATE CANNOT_PARSE_DATETIME CANNOT_PARSE_NUMBER
        CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING CANNOT_PARSE_IPV4 CANNOT_PARSE_IPV6
        CANNOT_PARSE_INPUT_ASSERTION_FAILED CANNOT_PARSE_UUID DUPLICATE_COLUMN ILLEGAL_COLUMN
        UNKNOWN_ELEMENT_IN_AST UNKNOWN_TYPE_OF_AST_NODE THERE_IS_NO_COLUMN TOO_DEEP_AST TOO_BIG_AST
        UNEXPECTED_AST_STRUCTURE SYNTAX_ERROR INCORRECT_DATA TYPE_MISMATCH VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE""",
    403: "ACCESS_DENIED UNKNOWN_USER WRONG_PASSWORD AUTHENTICATION_FAILED SET_NON_GRANTED_ROLE",
    404: """UNKNOWN_TABLE UNKNOWN_FUNCTION UNKNOWN_IDENTIFIER UNKNOWN_TYPE UNKNOWN_STORAGE UNKNOWN_DATABASE
        UNKNOWN_SETTING UNKNOWN_DIRECTION_OF_SORTING UNKNOWN_AGGREGATE_FUNCTION UNKNOWN_FORMAT
        UNKNOWN_DATABASE_ENGINE UNKNOWN_TYPE_OF_QUERY UNKNOWN_ROLE""",
    408: "TIMEOUT_EXCEEDED",
    413: "QUERY_IS_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    501: "NOT_IMPLEMENTED",
    503: "SOCKET_TIMEOUT CANNOT_OPEN_FILE CANNOT_SCHEDULE_TASK",
}
_STATUS = {name: status for status, names in _STATUS_OF_NAMES.items() for name in names.split()}


class ClickHouseError(Exception):
    """A failure that a client is told about.

    `code` is ClickHouse's number of it, `name` its symbol, `str()` the full sentence with both.
    """

    def __init__(self, code: int, name: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.name = name

    @property
    def status(self) -> int:
        """The HTTP status ClickHouse maps this error to; 500 where it names no other."""
        return _STATUS.get(self.name, 500)


def refusal(name: str, sentence: str) -> ClickHouseError:
    """An error of this door itself, spelled like the engine's. `name` must be one of the names this door uses."""
    code = _SHORT[name]
    return ClickHouseError(code, name, f"Code: {code}. DB::Exception: {sentence} ({name})")


def from_engine(error: Exception, version: str) -> ClickHouseError:
    """The engine's own complaint, cleaned: one prefix, one name, the engine's version at the end."""
    text = str(error)
    found = _CODE.search(text)
    if found is None:
        return refusal("UNKNOWN_EXCEPTION", text or type(error).__name__)
    text = _VERSION.sub("", _REPEATED.sub("", text[found.start() :])).strip()
    names = _NAME.findall(text)
    name = names[-1] if names else "UNKNOWN_EXCEPTION"
    while text.endswith(f"({name}). ({name})"):
        text = text.removesuffix(f". ({name})")
    code = _CODE.match(text)
    assert code is not None, "the text starts where the code was found"
    return ClickHouseError(int(code.group(1)), name, f"{text} (version {version})")


def late_block(error: ClickHouseError, tag: str) -> bytes:
    """The bytes that end a body whose query failed after the status was sent.

    `tag` is the value of the answer's X-ClickHouse-Exception-Tag, by which a client tells this from data.
    """
    message = str(error).encode()
    mark = tag.encode()
    return b"\r\n__exception__\r\n%b\r\n%b\n%d %b\r\n__exception__\r\n" % (mark, message, len(message) + 1, mark)
