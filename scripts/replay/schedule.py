"""What a replay publishes, in order: every event at its arrival, and the clock's ticks in event time.

The schedule is a function of the log and the settings, and numbers its steps; so a replay that was cut off goes on
where each partition stands. A tick tells every partition the highest event time published so far, at least every six
hours of event time, and before any event older than the allowed lateness: what is late depends on no partition.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from schemas.instants import MICROS_PER_HOUR, text_of
from schemas.interactions import MESSAGE, TICK
from schemas.routing import interaction_key, partition_of
from scripts.replay.source import EventLog, Message

TICK_INTERVAL_US = 6 * MICROS_PER_HOUR


class Step(NamedTuple):
    """One record to publish. `arrival_us` is the replay's clock (microseconds UTC) when it is due."""

    number: int
    partition: int
    key: bytes | None
    value: bytes
    arrival_us: int
    is_event: bool


def schedule(log: EventLog, partitions: int, lateness_us: int, tick_us: int = TICK_INTERVAL_US) -> Iterator[Step]:
    """All steps of a replay of `log` into a topic of that many partitions; a tick after `tick_us` of event time."""
    number = 0
    newest = 0
    ticked = 0
    told = [0] * partitions  # the highest time each partition has seen
    for message in sorted(log.messages, key=lambda m: (m.time_us + m.delay_us, m.line)):
        arrival = message.time_us + message.delay_us
        key = interaction_key(message.workspace, log.app, log.channel, message.user)
        partition = partition_of(key, partitions)
        if message.time_us < newest - lateness_us and told[partition] < newest:
            number += 1
            told[partition] = newest
            yield _tick(log, number, partition, newest, arrival)
        number += 1
        yield Step(number, partition, key.encode(), _event(log, message), arrival, True)
        told[partition] = max(told[partition], message.time_us)
        newest = max(newest, message.time_us)
        if newest - ticked >= tick_us:
            ticked = newest
            for each in range(partitions):
                number += 1
                told[each] = newest
                yield _tick(log, number, each, newest, arrival)
    for each in range(partitions):
        number += 1
        yield _tick(log, number, each, newest, newest)


def _event(log: EventLog, message: Message) -> bytes:
    data: dict[str, object] = {
        "workspace": message.workspace,
        "app": log.app,
        "channel": log.channel,
        "user": message.user,
        "direction": "inbound",
    }
    if message.chars is not None:
        data["chars"] = message.chars
    return _cloud_event(log.source, str(message.line), MESSAGE, message.time_us, data)


def _tick(log: EventLog, number: int, partition: int, time_us: int, arrival_us: int) -> Step:
    value = _cloud_event(f"{log.source}/clock", f"{number}", TICK, time_us, None)
    return Step(number, partition, None, value, arrival_us, False)


def _cloud_event(source: str, identity: str, kind: str, time_us: int, data: dict[str, object] | None) -> bytes:
    event: dict[str, object] = {
        "specversion": "1.0",
        "id": identity,
        "source": source,
        "type": kind,
        "time": text_of(time_us),
    }
    if data is not None:
        event["data"] = data
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
