"""Publishing a replay: sign-ups first, then the schedule, every chunk acknowledged before the next.

A replay may be cut off anywhere and started again: each record carries its step number in a header, the last step that
stands in each partition is found by reading its end, and only what is missing is published. A second run adds nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from schemas.commands import Actor, Command, CreateWorkspace
from schemas.headers import REPLAY_LOG_HEADER, REPLAY_STEP_HEADER
from schemas.kafka import Address
from schemas.routing import partition_of
from schemas.settings import Settings
from schemas.topics import INBOX, INTERACTIONS
from scripts.replay.schedule import TICK_INTERVAL_US, Step, schedule
from scripts.replay.source import EventLog
from streams.durable.machine import Output
from streams.durable.producer import new_producer, produce
from streams.durable.reader import PartitionReader

CHUNK = 2_000
LOOK_BACK = 1_000


@dataclass(frozen=True, slots=True)
class Published:
    """What a replay did: `events` now published, and how many steps stood in the topic already."""

    events: int
    already_there: int


async def replay(
    log: EventLog,
    settings: Settings,
    speed: float | None,
    progress: Callable[[int], None] = lambda _: None,
    tick_us: int = TICK_INTERVAL_US,
) -> Published:
    """Publish a log; `speed` is event time per wall time, None as fast as it goes; a tick each `tick_us` of event time.

    `progress` is told the number of events that stand in the topic. Raises what the broker refuses.
    """
    partitions = settings.interaction_partitions
    kafka = settings.kafka
    done = await asyncio.gather(*(_last_step(kafka, p, log) for p in range(partitions)))
    producer = new_producer(kafka, "quarterhour-replay", throwaway=settings.throwaway)
    await producer.start()
    try:
        if not any(done):
            await produce(producer, sign_ups(log, settings))
        steps = schedule(log, partitions, settings.allowed_lateness_us, tick_us)
        return await _publish(producer, log, steps, list(done), speed, progress)
    finally:
        await producer.stop()


async def _publish(
    producer: Any,
    log: EventLog,
    steps: Iterable[Step],
    done: list[int],
    speed: float | None,
    progress: Callable[[int], None],
) -> Published:
    chunk: list[Output] = []
    events = skipped = passed = 0
    begun: tuple[float, int] | None = None
    for step in steps:
        passed += step.is_event
        if step.number <= done[step.partition]:
            skipped += 1
            continue
        if speed is not None:
            begun = begun or (time.monotonic(), step.arrival_us)
            due = begun[0] + (step.arrival_us - begun[1]) / 1_000_000 / speed
            if due > time.monotonic():
                await produce(producer, chunk)
                chunk.clear()
                progress(passed - step.is_event)
                await asyncio.sleep(due - time.monotonic())
        chunk.append(output_of(step, log))
        events += step.is_event
        if len(chunk) >= CHUNK:
            await produce(producer, chunk)
            chunk.clear()
            progress(passed)
    await produce(producer, chunk)
    progress(passed)
    return Published(events, skipped)


def output_of(step: Step, log: EventLog) -> Output:
    """The record of a step, by which a later replay of the same log knows where this one came to."""
    headers = ((REPLAY_LOG_HEADER, log.digest[:16].encode()), (REPLAY_STEP_HEADER, str(step.number).encode()))
    return Output(INTERACTIONS, step.partition, step.key, step.value, headers)


def sign_ups(log: EventLog, settings: Settings) -> list[Output]:
    """The commands that create the log's workspaces, each at its first event (W1), so credits count from there (C1)."""
    first: dict[str, int] = {}
    for message in log.messages:
        first[message.workspace] = min(first.get(message.workspace, message.time_us), message.time_us)
    return [
        Output(INBOX, partition_of(workspace, settings.account_partitions), workspace.encode(),
               msgspec.json.encode(_creation(workspace, time_us)))
        for workspace, time_us in sorted(first.items())
    ]  # fmt: skip


def _creation(workspace: str, time_us: int) -> Command:
    command_id = f"replay-creates-{workspace}"
    return Command(command_id, workspace, time_us, Actor("system", "replay"), CreateWorkspace(f"owner@{workspace}"))


async def _last_step(kafka: Address, partition: int, log: EventLog) -> int:
    """The number of the last step of this log in a partition, 0 if there is none; reads backwards from the end."""
    wanted = log.digest[:16].encode()
    async with PartitionReader(kafka, INTERACTIONS, partition) as reader:
        beginning, end = await reader.beginning(), await reader.end()
        while end > beginning:
            start = max(beginning, end - LOOK_BACK)
            last = 0
            async for records in reader.read(start, end):
                for record in records:
                    headers = dict(record.headers)
                    if headers.get(REPLAY_LOG_HEADER) == wanted:
                        last = int(headers[REPLAY_STEP_HEADER])
            if last:
                return last
            end = start
    return 0
