"""Builders of interaction records for the metering tests."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from schemas.commands import decode_inbox
from schemas.instants import text_of
from schemas.topics import INBOX
from schemas.units import Unit
from streams.durable.machine import Output, RawRecord

T0 = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def value(time_us: int, identity: str, user: str = "u", **changes: Any) -> bytes:
    """One interaction event as JSON; `changes` replace fields of `data`, or of the envelope when they are its own."""
    data: dict[str, Any] = {
        "workspace": "acme",
        "app": "helper",
        "channel": "web",
        "user": user,
        "direction": "inbound",
    }
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": identity,
        "source": "/test",
        "type": "quarterhour.message.v1",
        "time": text_of(time_us),
        "data": data,
    }
    for name, change in changes.items():
        (event if name in event else data)[name] = change
    return json.dumps(event).encode()


def tick(time_us: int) -> bytes:
    """One clock tick."""
    return json.dumps(
        {
            "specversion": "1.0",
            "id": str(time_us),
            "source": "/clock",
            "type": "quarterhour.tick.v1",
            "time": text_of(time_us),
        }
    ).encode()


def record(offset: int, content: bytes | None, append_us: int = T0 + 400 * DAY) -> RawRecord:
    """One record as the broker would give it; by default appended long after anything the tests time."""
    return RawRecord(offset, append_us // 1000, None, content, ())


def units(outputs: Iterable[Output]) -> list[Unit]:
    """The unit events among outputs."""
    decoded = [decode_inbox(o.value) for o in outputs if o.topic == INBOX]
    return [unit for unit in decoded if isinstance(unit, Unit)]


def net(events: Iterable[Unit]) -> Counter[tuple[str, str, int, bool]]:
    """Net units by (user, kind, UTC day, billable), from the deltas alone; zeros dropped."""
    total: Counter[tuple[str, str, int]] = Counter()
    billable: Counter[tuple[str, str, int]] = Counter()
    for unit in events:
        where: tuple[str, str, int] = (unit.user, unit.kind, unit.start_us // DAY)
        total[where] += unit.delta
        billable[where] += unit.billable_delta
    counts: Counter[tuple[str, str, int, bool]] = Counter()
    for where, number in total.items():
        counts[(*where, True)] = billable[where]
        counts[(*where, False)] = number - billable[where]
    return Counter({where: number for where, number in counts.items() if number})


def newest(events: Iterable[Unit]) -> dict[str, Unit]:
    """The newest revision of each unit, retracted ones left out; revisions must come gapless and in order."""
    found: dict[str, Unit] = {}
    for unit in events:
        held = found.get(unit.unit_id)
        assert unit.revision == (held.revision + 1 if held else 1), f"{unit.unit_id} skips a revision"
        found[unit.unit_id] = unit
    return {unit_id: unit for unit_id, unit in found.items() if unit.change != "retracted"}


def canonical(outputs: Iterable[Output]) -> list[bytes]:
    """Outputs as bytes, to compare runs to the letter (law 2)."""
    return [msgspec.json.encode((o.topic, o.partition, (o.value or b"").decode())) for o in outputs]
