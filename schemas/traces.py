"""Trace contexts (W3C `traceparent`) on their way through the topics: in headers, never in a record's value.

So payloads, hash chain and every comparison of records are the same with and without traces. A step's span id is
derived from where its record stands: who repeats a step after a crash writes the same header and the same span (law 2).
Only sampled contexts are carried on; whether an event is sampled is decided where it enters.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, NamedTuple

import msgspec

TRACEPARENT: Final = "traceparent"
"""The Kafka header, the HTTP header, and the CloudEvents attribute (distributed tracing extension)."""

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MARK: Final = b'"traceparent"'

Header = tuple[str, bytes]


class TraceContext(NamedTuple):
    """A sampled span: its trace's id (32 hexadecimal digits) and its own (16)."""

    trace_id: str
    span_id: str

    @property
    def text(self) -> str:
        """As `traceparent` has it."""
        return f"00-{self.trace_id}-{self.span_id}-01"

    @property
    def header(self) -> Header:
        """For a Kafka record."""
        return (TRACEPARENT, self.text.encode("ascii"))

    def step(self, topic: str, partition: int, offset: int, process: str) -> TraceContext:
        """The span of what a process does with the record that stands there."""
        where = f"{self.trace_id}/{process}/{topic}/{partition}/{offset}"
        return TraceContext(self.trace_id, hashlib.sha256(where.encode()).hexdigest()[:16])

    def child(self) -> TraceContext:
        """A span in this trace with an id of its own, for what happens once."""
        return TraceContext(self.trace_id, secrets.token_hex(8))


def new_trace() -> TraceContext:
    """The first span of a new trace."""
    return TraceContext(secrets.token_hex(16), secrets.token_hex(8))


def parsed(text: str) -> TraceContext | None:
    """The context of a `traceparent`; None when it is malformed (W3C: it is as if there were none) or not sampled."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return TraceContext(trace_id, span_id) if int(flags, 16) & 1 else None


def of_headers(headers: Iterable[tuple[str, bytes | None]]) -> TraceContext | None:
    """The context that a Kafka record's headers carry."""
    for name, value in headers:
        if name == TRACEPARENT:
            return parsed((value or b"").decode("ascii", "replace"))
    return None


class _Extended(msgspec.Struct):
    traceparent: str = ""


_extension = msgspec.json.Decoder(_Extended).decode


def of_event(value: bytes) -> TraceContext | None:
    """The context that an event's JSON carries as the CloudEvents attribute."""
    if _MARK not in value:
        return None
    try:
        return parsed(_extension(value).traceparent)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None  # whoever judges the event says what is wrong with it


def of_this_task() -> TraceContext | None:
    """The context of the OpenTelemetry span that is current, in a program that uses OpenTelemetry itself."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    found = api.get_current_span().get_span_context()
    if not found.is_valid or not found.trace_flags.sampled:
        return None
    return TraceContext(f"{found.trace_id:032x}", f"{found.span_id:016x}")


_current: ContextVar[str] = ContextVar("quarterhour_trace", default="")


@contextmanager
def current(context: TraceContext) -> Iterator[None]:
    """Within the block logs carry the trace's id; after an exception too, for whoever tells of it."""
    token = _current.set(context.trace_id)
    yield
    _current.reset(token)


def current_trace_id() -> str:
    """The trace that is being worked on; empty when there is none."""
    return _current.get()
