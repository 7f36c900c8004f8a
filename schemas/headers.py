"""The record headers that our processes write or read, in one place; the README's table is compared with it by a test.

What a reader computes rests on payloads; of headers only on the changelogs' tag, and on METER's for a record it moved.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas import topics
from schemas.interactions import REROUTED_HEADER
from schemas.traces import TRACEPARENT

TAG_HEADER = "at"
REPLAY_LOG_HEADER = "qh-replay-log"
REPLAY_STEP_HEADER = "qh-replay-step"


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
    RecordHeader(REPLAY_LOG_HEADER, (topics.INTERACTIONS,), "of a replay: which log"),
    RecordHeader(REPLAY_STEP_HEADER, (topics.INTERACTIONS,), "of a replay: which step of it, so that it can go on"),
    RecordHeader(
        TAG_HEADER,
        (topics.METER_CHANGELOG, topics.ACCOUNTS_CHANGELOG),
        "of a tombstone: the input position it is the state at",
    ),
)  # fmt: skip
