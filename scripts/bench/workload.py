"""The events METER is measured with: steady talk of many end users, in the order of their times, from a fixed seed.

A conversation holds 14 events, the user's and the app's in turn, 5 to 35 seconds apart; events are about 285 bytes. The
first starts fall evenly into `hours`. One clock tick a minute and partition goes on until everything has closed, so a
run pays for the whole life of each unit, its closing and the end of its state included.
"""

from __future__ import annotations

import heapq
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from schemas.instants import MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, text_of
from schemas.interactions import MESSAGE, TICK
from schemas.routing import interaction_key, partition_of

EVENTS_A_CONVERSATION = 14
FIRST_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
_LIFE_US = 24 * MICROS_PER_HOUR + 45 * MICROS_PER_MINUTE
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Load:
    """How much, how dense: `events` over `hours` of event time, by `users` end users."""

    events: int = 1_000_000
    hours: float = 12.0
    users: int = 50_000
    partitions: int = 4
    ticks: bool = True


def records(load: Load) -> Iterator[tuple[int, bytes | None, bytes]]:
    """Partition, key and value of each record, in the order of time."""
    chance = random.Random(20260101)  # noqa: S311 - nothing secret
    minute = FIRST_US
    last_us = FIRST_US
    for time_us, user, number in _talk(load, chance):
        while load.ticks and minute <= time_us:
            yield from _ticks(minute, load.partitions)
            minute += MICROS_PER_MINUTE
        last_us = time_us
        yield _event(load, chance, time_us, user, number)
    while load.ticks and minute <= last_us + _LIFE_US:
        yield from _ticks(minute, load.partitions)
        minute += MICROS_PER_MINUTE


def _talk(load: Load, chance: random.Random) -> Iterator[tuple[int, int, int]]:
    """Time, user and number within the conversation of each event."""
    conversations = -(-load.events // EVENTS_A_CONVERSATION)  # the last one may stay short
    every_us = load.hours * MICROS_PER_HOUR / conversations
    talking: list[tuple[int, int, int]] = []
    begun = 0
    for _ in range(load.events):
        starts_us = FIRST_US + int(begun * every_us)
        if begun < conversations and (not talking or starts_us <= talking[0][0]):
            begun += 1
            time_us, user, number = starts_us, chance.randrange(load.users), 0
        else:
            time_us, user, number = heapq.heappop(talking)
        yield time_us, user, number
        left = EVENTS_A_CONVERSATION - 1 - number
        if left:
            pause_us = chance.randrange(5 * MICROS_PER_SECOND, 35 * MICROS_PER_SECOND)
            heapq.heappush(talking, (time_us + pause_us, user, number + 1))


def _event(load: Load, chance: random.Random, time_us: int, user: int, number: int) -> tuple[int, bytes, bytes]:
    names = (f"workspace-{user % 20:02d}", f"app-{user % 60 // 20}", "web" if user % 2 else "whatsapp")
    key = interaction_key(*names, f"user-{user:07d}")
    event = {
        "specversion": "1.0",
        "id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "source": "/gateways/web-1",
        "type": MESSAGE,
        "time": text_of(time_us),
        "data": {
            "workspace": names[0],
            "app": names[1],
            "channel": names[2],
            "user": f"user-{user:07d}",
            "direction": "outbound" if number % 2 else "inbound",
            "chars": chance.randrange(200),
        },
    }
    return partition_of(key, load.partitions), key.encode(), _encode(event)


def _ticks(time_us: int, partitions: int) -> Iterator[tuple[int, None, bytes]]:
    tick = {"specversion": "1.0", "id": str(time_us), "source": "/clock", "type": TICK, "time": text_of(time_us)}
    for partition in range(partitions):
        yield partition, None, _encode(tick)
