"""METER end to end: the real worker process on a real Kafka, from the first record to the last committed offset.

Counted: receive, decode, both meters, dedupe, outputs acknowledged, state durable, position kept, offset committed.
CPU seconds are those of the worker process, all its threads, less those of a worker that starts on empty topics.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from schemas.settings import Settings
from schemas.topics import INTERACTIONS, Topic, topic_table
from scripts.bench.broker import GroupWatch, renew_topics, running
from scripts.stack.process import ProcessSpec
from streams.workers.meter import GROUP

STARTED_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Run:
    """One run: CPU seconds of the worker without its start, records a second of wall time, its memory at the end."""

    cpu_seconds: float
    start_cpu_seconds: float
    records_per_second: float
    rss_bytes: int


def tables(settings: Settings) -> tuple[list[Topic], list[Topic]]:
    """The topic of the events, and all others."""
    table = topic_table(settings.interaction_partitions, settings.account_partitions)
    return [t for t in table if t.name == INTERACTIONS], [t for t in table if t.name != INTERACTIONS]


async def start_cost(settings: Settings, folder: Path) -> float:
    """CPU seconds a worker takes to start, on empty topics."""
    await renew_topics(settings.kafka_bootstrap_servers, [*tables(settings)[0], *tables(settings)[1]], [GROUP])
    async with running(_spec(settings), folder / "meter-start.log") as process:
        await asyncio.sleep(STARTED_SECONDS)
        return _cpu(process.pid)


async def run_worker(
    settings: Settings, folder: Path, start_cpu_seconds: float, progress: Callable[[int], None]
) -> Run:
    """Run METER over all that is published, with nothing done before."""
    bootstrap, log = settings.kafka_bootstrap_servers, folder / "meter.log"
    await renew_topics(bootstrap, tables(settings)[1], [GROUP])
    async with GroupWatch(bootstrap, GROUP, INTERACTIONS) as watch:
        end = await watch.end(settings.interaction_partitions)
        async with running(_spec(settings), log) as process:
            seen = await watch.wait(process, log, end, progress)
            cpu = _cpu(process.pid)
            memory = psutil.Process(process.pid).memory_info().rss
    begun = seen[1]
    rate = (end - begun[1]) / (seen[-1][0] - begun[0]) if seen[-1][0] > begun[0] else 0.0
    return Run(cpu - start_cpu_seconds, start_cpu_seconds, rate, memory)


def _spec(settings: Settings) -> ProcessSpec:
    return ProcessSpec("meter", [sys.executable, "-m", "streams.workers.meter"], settings.environment())


def _cpu(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system
