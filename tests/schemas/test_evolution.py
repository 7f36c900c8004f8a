"""Old records stay readable for ever: samples of each version, as they were appended then, against today's contract.

`samples/v1/TOPIC.jsonl` holds one record a line, one of each shape that version wrote. A new version adds a folder; a
sample is never edited or removed, because records like it lie in people's topics.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.alerts import Alert
from schemas.aside import SetAside
from schemas.commands import decode_inbox
from schemas.entitlements import Entitlement
from schemas.gateway_keys import decode_key
from schemas.interactions import InteractionEvent, decode
from schemas.ledger import decode_ledger, encode_ledger, is_intact
from schemas.mails import DeadMail, MailRetry, MailStep, Webhook
from schemas.payments import PaymentRequest
from schemas.replies import decode_reply
from schemas.topics import (
    ALERTS,
    CLOCK_LEASE,
    DEAD_MAILS,
    ENTITLEMENTS,
    GATEWAY_KEYS,
    INBOX,
    INTERACTIONS,
    LATE,
    LEDGER,
    MAIL_RETRIES,
    MAILS,
    PAYMENT_REQUESTS,
    REJECTED,
    REPLIES,
    WEBHOOKS,
    topic_table,
)

FOLDER = Path(__file__).with_name("samples")
READERS: dict[str, Callable[[bytes], Any]] = {
    INTERACTIONS: decode,
    REJECTED: msgspec.json.Decoder(SetAside).decode,
    LATE: msgspec.json.Decoder(SetAside).decode,
    INBOX: decode_inbox,
    LEDGER: decode_ledger,
    ALERTS: msgspec.json.Decoder(Alert).decode,
    ENTITLEMENTS: msgspec.json.Decoder(Entitlement).decode,
    PAYMENT_REQUESTS: msgspec.json.Decoder(PaymentRequest).decode,
    REPLIES: decode_reply,
    GATEWAY_KEYS: decode_key,
    MAILS: msgspec.json.Decoder(MailStep).decode,
    DEAD_MAILS: msgspec.json.Decoder(DeadMail).decode,
    MAIL_RETRIES: msgspec.json.Decoder(MailRetry).decode,
    WEBHOOKS: msgspec.json.Decoder(Webhook).decode,
}
"""What reads each topic today; a new topic is added here, with samples in the newest folder."""
SAMPLES = [
    pytest.param(file.stem, line, id=f"{file.parent.name}/{file.stem}/{number}")
    for file in sorted(FOLDER.glob("*/*.jsonl"))
    for number, line in enumerate(file.read_bytes().splitlines(), 1)
]
OURS = [sample for sample in SAMPLES if sample.values[0] != INTERACTIONS]


def test_every_topic_of_records_has_samples_and_a_reader() -> None:
    kept = {topic.name for topic in topic_table() if not topic.name.endswith(".changelog")} - {CLOCK_LEASE}
    assert kept == set(READERS) == {str(sample.values[0]) for sample in SAMPLES}


@pytest.mark.parametrize(("topic", "value"), SAMPLES)
def test_it_is_read(topic: str, value: bytes) -> None:
    READERS[topic](value)


@pytest.mark.parametrize(("topic", "value"), OURS)
def test_nothing_it_says_is_lost_or_changed(topic: str, value: bytes) -> None:
    again = json.loads(msgspec.json.encode(READERS[topic](value)))
    said = json.loads(value)
    assert {name: again[name] for name in said} == said


@pytest.mark.parametrize("value", [sample.values[1] for sample in SAMPLES if sample.values[0] == INTERACTIONS])
def test_the_contract_accepts_what_it_accepted(value: bytes) -> None:
    InteractionEvent.of_record(value)


@pytest.mark.parametrize("value", [sample.values[1] for sample in SAMPLES if sample.values[0] == LEDGER])
def test_l2_the_hash_of_an_old_ledger_record_still_holds(value: bytes) -> None:
    record = decode_ledger(value)
    assert is_intact(record)
    assert encode_ledger(record) == value
