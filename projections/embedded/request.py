"""One HTTP request as ClickHouse reads it: what is transport, what is a query parameter, what is a setting.

Everything in the URL that is not reserved and not ``param_...`` is a setting of the engine; whether it exists is the
engine's to say. Credentials are accepted and ignored: there are no users here.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from projections.embedded.compression import chosen_encoding
from projections.embedded.errors import refusal

DEFAULT_SESSION_SECONDS = 60
LONGEST_SESSION_SECONDS = 3600
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_QUERY_ID = re.compile(r"[A-Za-z0-9_.:-]{1,100}\Z")
_RESERVED_WORDS = """query database default_format session_id session_timeout session_check query_id user password
    quota_key compress decompress wait_end_of_query buffer_size client_protocol_version role stacktrace close_session"""
_RESERVED = frozenset(_RESERVED_WORDS.split())
_OF_THE_TRANSPORT = frozenset(  # settings that only a ClickHouse server's HTTP handler would read
    (
        "enable_http_compression",
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "cancel_http_readonly_queries_on_client_close",
    )
)
_UNSERVED = frozenset({"dialect"})  # the statement class is judged in ClickHouse's own SQL only


@dataclass(frozen=True, slots=True)
class Request:
    """What a request asks for, apart from its body."""

    is_get: bool
    query: bytes
    query_id: str
    database: str
    default_format: str
    session_id: str
    session_seconds: int
    session_must_exist: bool
    settings: Mapping[str, str]
    parameters: Mapping[str, str]
    content_encoding: str
    answer_encoding: str
    waits_for_end: bool


def read_request(
    method: str, query_string: bytes, headers: Mapping[str, str], form: Mapping[str, str] | None = None
) -> Request:
    """The request in an HTTP request line and headers (names in lower case), and in the fields of a form.

    Raises `ClickHouseError` for what ClickHouse knows and this door does not serve, and for malformed values.
    """
    fields = dict(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, errors="surrogateescape"))
    fields |= form or {}
    if _is_on(fields.get("compress", "")) or _is_on(fields.get("decompress", "")):
        raise refusal("NOT_IMPLEMENTED", "Native block compression is not served: use Accept- and Content-Encoding.")
    taken = _RESERVED | _OF_THE_TRANSPORT
    settings = {name: value for name, value in fields.items() if name not in taken and not _is_parameter(name)}
    for name in settings:
        if not _NAME.match(name) or name in _UNSERVED:
            raise refusal("UNKNOWN_SETTING", f"Unknown setting '{name}'.")
    compresses = _is_on(fields.get("enable_http_compression", "1"))
    query_id = fields.get("query_id", "")
    return Request(
        is_get=method != "POST",  # a HEAD changes nothing either
        query=fields.get("query", "").encode("utf-8", "surrogateescape"),
        query_id=query_id if _QUERY_ID.match(query_id) else str(uuid.uuid4()),
        database=fields.get("database") or headers.get("x-clickhouse-database", ""),
        default_format=fields.get("default_format") or headers.get("x-clickhouse-format", ""),
        session_id=fields.get("session_id", ""),
        session_seconds=_session_seconds(fields.get("session_timeout", "")),
        session_must_exist=_is_on(fields.get("session_check", "")),
        settings=settings,
        parameters={name.removeprefix("param_"): value for name, value in fields.items() if _is_parameter(name)},
        content_encoding=headers.get("content-encoding", ""),
        answer_encoding=chosen_encoding(headers.get("accept-encoding", "")) if compresses else "",
        waits_for_end=_is_on(fields.get("wait_end_of_query", "")),
    )


def _is_parameter(name: str) -> bool:
    return name.startswith("param_") and _NAME.match(name) is not None


def _is_on(value: str) -> bool:
    return value.lower() not in ("", "0", "false")


def _session_seconds(value: str) -> int:
    if not value:
        return DEFAULT_SESSION_SECONDS
    if not value.isdecimal() or not 0 < int(value) <= LONGEST_SESSION_SECONDS:
        raise refusal("BAD_ARGUMENTS", f"session_timeout is 1 to {LONGEST_SESSION_SECONDS} seconds, not '{value}'.")
    return int(value)
