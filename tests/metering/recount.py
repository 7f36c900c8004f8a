"""A batch recount of units, by sort and sweep: the oracle of rules U1, U2 and U12, sharing nothing with METER."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

QUARTER_US = 900_000_000
DAY_US = 86_400_000_000


class Message(NamedTuple):
    """One distinct event of one key."""

    key: str
    time_us: int
    inbound: bool = True
    live: bool = True


def recount(messages: Iterable[Message]) -> Counter[tuple[str, str, int, bool]]:
    """Units by (key, kind, UTC day of the start, billable)."""
    by_key: dict[str, list[Message]] = {}
    for message in messages:
        by_key.setdefault(message.key, []).append(message)
    counts: Counter[tuple[str, str, int, bool]] = Counter()
    for key, held in by_key.items():
        held.sort(key=lambda m: m.time_us)
        for kind, units in (("conversation", _conversations(held)), ("session", _sessions(held))):
            for unit in units:
                billable = any(m.inbound and m.live for m in unit)
                counts[key, kind, unit[0].time_us // DAY_US, billable] += 1
    return counts


def _conversations(held: list[Message]) -> list[list[Message]]:
    units: list[list[Message]] = []
    for message in held:
        if units and message.time_us - units[-1][-1].time_us <= QUARTER_US:
            units[-1].append(message)
        else:
            units.append([message])
    return units


def _sessions(held: list[Message]) -> list[list[Message]]:
    units: list[list[Message]] = []
    for message in held:
        if units and message.time_us < units[-1][0].time_us + QUARTER_US:
            units[-1].append(message)
        else:
            units.append([message])
    return units
