"""The three ways CloudEvents come over HTTP (CloudEvents 1.0 HTTP binding): structured, batched, binary.

Pure: content type, headers and body to the values METER would read, one for each event, untouched where that can be.
Leaves to others: whether they are valid events.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable
from email.message import Message

import msgspec

from schemas.errors import excerpt
from streams.doors.ingest.answers import Fault, RequestRefused

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
BINARY = "application/json"
MAX_EVENTS = 5_000
"""Most events in one batch."""

Headers = Iterable[tuple[str, str]]
_split = msgspec.json.Decoder(list[msgspec.Raw]).decode
_whole = msgspec.json.Decoder(msgspec.Raw).decode
_RULE = "CloudEvents 1.0 HTTP binding"


def values_of(content_type: str, headers: Headers, body: bytes) -> list[bytes]:
    """The events of a request, each as the JSON of structured mode. Raises RequestRefused (400, 413, 415)."""
    found = _media_type(content_type)
    if found == STRUCTURED:
        return [body]
    if found == BATCH:
        return _batch(body)
    return [_binary(headers, body)]


def _media_type(content_type: str) -> str:
    parsed = Message()
    parsed["content-type"] = content_type
    found, charset = parsed.get_content_type(), parsed.get_param("charset", "utf-8")
    if content_type and found in (STRUCTURED, BATCH, BINARY) and str(charset).lower() in ("utf-8", "utf8", "us-ascii"):
        return found
    detail = f"send {STRUCTURED}, {BATCH}, or in binary mode {BINARY} with ce- headers, in UTF-8"
    fault = Fault("unsupported_content_type", detail, "content-type", excerpt(content_type), _RULE)
    raise RequestRefused(415, fault)


def _batch(body: bytes) -> list[bytes]:
    try:
        items = _split(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        fault = Fault("not_json", f"the body is no JSON array: {error}", rule="CloudEvents JSON batch format")
        raise RequestRefused(400, fault) from None
    if not 1 <= len(items) <= MAX_EVENTS:
        status, reason = (413, "too_large") if items else (400, "empty_batch")
        fault = Fault(reason, "split the batch, or send nothing", "", f"{len(items)} events", f"1 to {MAX_EVENTS}")
        raise RequestRefused(status, fault)
    return [bytes(item) for item in items]


def _binary(headers: Headers, body: bytes) -> bytes:
    """Attributes from `ce-` headers, data from the body, put together as structured mode has them."""
    attributes: dict[str, object] = {}
    for name, value in headers:
        lower = name.lower()
        if not lower.startswith("ce-"):
            continue
        if lower[3:] in attributes:
            fault = Fault("invalid_field", "the header is given twice", lower, excerpt(value), _RULE)
            raise RequestRefused(400, fault)
        attributes[lower[3:]] = _text(lower, value)
    if not attributes:
        detail = f"binary mode has ce- headers; an event as JSON is sent as {STRUCTURED}"
        raise RequestRefused(400, Fault("missing_field", detail, "ce-specversion", "", _RULE))
    attributes.pop("data", None)
    if body:
        try:
            attributes["data"] = _whole(body)  # parsed, so that it cannot be more than one value
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            fault = Fault("not_json", f"the body is no JSON: {error}", "data", excerpt(repr(body[:100])), "RFC 8259")
            raise RequestRefused(400, fault) from None
    return msgspec.json.encode(attributes)


def _text(name: str, value: str) -> str:
    """A header's text: UTF-8 in percent-encoding, in double quotes or not (section 3.1.3.2)."""
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    try:
        return urllib.parse.unquote(value.encode("latin-1").decode("utf-8"), errors="strict")
    except UnicodeError:
        fault = Fault("invalid_field", "the header is not percent-encoded UTF-8", name, excerpt(value), _RULE)
        raise RequestRefused(400, fault) from None
