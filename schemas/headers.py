"""The record headers that our processes write or read, in one place; the README's table is compared with it by a test.

Nothing a reader computes rests on any of them but the changelogs' tag: payloads say it all.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas import topics
from schemas.interactions import REROUTED_HEADER
from schemas.traces import TRACEPARENT

TAG_HEADER = "at"


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """One header, the topics whose records may have it, and what it says."""

    name: str
    topics: tuple[str, ...]
    purpose: str


RECORD_HEADERS = (
    RecordHeader(
        TRACEPARENT,
        (
            topics.INTERACTIONS, topics.REJECTED, topics.LATE, topics.INBOX, topics.LEDGER, topics.ALERTS,
            topics.ENTITLEMENTS, topics.PAYMENT_REQUESTS, topics.REPLIES,
        ),
        "W3C trace context, of what is sampled",
    ),
    RecordHeader(REROUTED_HEADER, (topics.INTERACTIONS,), "`partition:offset` from where METER moved the record"),
    RecordHeader(
        TAG_HEADER,
        (topics.METER_CHANGELOG, topics.ACCOUNTS_CHANGELOG),
        "of a tombstone: the input position it is the state at",
    ),
)  # fmt: skip
