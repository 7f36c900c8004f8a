"""What METER costs, end to end, and what it is made of: `python -m scripts.bench.meter`, `quarterhour bench meter`.

CPU seconds are the figure to trust: they do not depend on what else the machine does. Every figure is the best of
`repeats` runs. Results are kept in `scripts/benchmarks/meter.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from schemas.settings import Settings
from schemas.topics import INTERACTIONS, METER_CHANGELOG, Topic, topic_table
from scripts.bench import recovery
from scripts.bench.breakdown import breakdown
from scripts.bench.broker import BenchmarkFailed, broker, publish, renew_topics
from scripts.bench.end_to_end import Run, run_worker, start_cost
from scripts.bench.idiomatic import APP, UNITS
from scripts.bench.workload import Load, records
from streams.durable.machine import Output
from streams.workers.meter import GROUP

RESULTS = Path(__file__).parents[1] / "benchmarks" / "meter.json"
EVENTS = 1_000_000
FAUST_EVENTS = 20_000
KEYS = 1_000_000


@dataclass(frozen=True, slots=True)
class MeterBench:
    """The figures the issue asks for. `details` holds what they are made of."""

    cpu_s_per_million: float
    floor_cpu_s_per_million: float
    idiomatic_faust_cpu_s_per_million: float
    events_per_second: float
    bytes_per_open_key: float
    recovery_seconds_1m_keys: float
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure."""

    events: int = EVENTS
    faust_events: int = FAUST_EVENTS
    keys: int = KEYS
    repeats: int = 3
    ten_million: bool = False


async def bench_meter(plan: Plan = Plan(), console: Console | None = None) -> MeterBench:
    """Measure on a Kafka of its own; ten minutes for the default plan. Raises KafkaUnavailable, BenchmarkFailed."""
    progress = _progress(console or Console(stderr=True))
    with progress:
        async with broker(lambda line: progress.console.print(line, markup=False)) as (bootstrap, folder):
            measure = _Measure(plan, Settings(kafka_bootstrap_servers=bootstrap), folder, progress)
            return await measure.all()


class _Measure:
    """The measurements, in their order."""

    def __init__(self, plan: Plan, settings: Settings, folder: Path, progress: Progress) -> None:
        self._plan, self._settings, self._folder, self._progress = plan, settings, folder, progress
        self._bootstrap = settings.kafka_bootstrap_servers
        self._topics = topic_table(settings.interaction_partitions, settings.account_partitions)

    async def all(self) -> MeterBench:
        plan = self._plan
        start = await start_cost(self._settings, self._folder)
        load = Load(events=plan.events, users=max(1, plan.events // 20), hours=12 * plan.events / EVENTS)
        published = await self._publish("events", (Output(INTERACTIONS, *record) for record in records(load)))
        million = plan.events / EVENTS
        floors = [
            float(await self._child("floor", "scripts.bench.floor", self._bootstrap, published))
            for _ in range(plan.repeats)
        ]
        runs = [await self._run(start, published) for _ in range(plan.repeats)]
        faust = await self._idiomatic() / plan.faust_events * EVENTS
        recoveries = await self._recover()
        keys = [await self._open_keys(*sizes) for sizes in self._key_sizes()]
        best = min(runs, key=lambda run: run.cpu_seconds)
        opened = next(found for found in keys if found["keys"] == plan.keys and found["events_a_key"] == 1)
        cost, floor = best.cpu_seconds / million, min(floors) / million
        return MeterBench(
            round(cost, 2), round(floor, 2), round(faust, 1), round(max(run.records_per_second for run in runs)),
            opened["rss_bytes_a_key"], round(min(found["seconds"] for found in recoveries) * KEYS / plan.keys, 2),
            {
                "machine": _machine(), "plan": asdict(plan), "load": asdict(load), "records": published,
                "times_cheaper_than_idiomatic_faust": round(faust / cost), "runs": [asdict(run) for run in runs],
                "recoveries": recoveries, "open_keys": keys,
                "core": {"talk": breakdown(load), "dense": breakdown(_dense(load))},
            },
        )  # fmt: skip

    def _key_sizes(self) -> list[tuple[int, int]]:
        sizes = [(self._plan.keys // 100, 1), (self._plan.keys // 10, 1), (self._plan.keys, 1), (self._plan.keys, 5)]
        return [*sizes, (10 * self._plan.keys, 1)] if self._plan.ten_million else sizes

    async def _publish(self, what: str, outputs: Iterator[Output], topics: tuple[Topic, ...] = ()) -> int:
        """Publish into topics made anew; how many records."""
        await renew_topics(self._bootstrap, topics or self._topics, [GROUP])
        count = 0
        with self._shown(f"publishing {what}") as task:

            def tell(added: int) -> None:
                nonlocal count
                count += added
                self._progress.update(task, completed=count)

            await publish(self._bootstrap, outputs, tell)
        return count

    async def _run(self, start: float, published: int) -> Run:
        with self._shown("METER", published) as task:
            return await run_worker(
                self._settings, self._folder, start, lambda done: self._progress.update(task, completed=done)
            )

    async def _idiomatic(self) -> float:
        made = (Topic(UNITS, "", ""), Topic(f"{APP}-talks-changelog", "", "", config={"cleanup.policy": "compact"}))
        await renew_topics(self._bootstrap, made)
        directory = str(self._folder / "idiomatic")
        return float(
            await self._child(
                "idiomatic Faust", "scripts.bench.idiomatic", self._bootstrap, self._plan.faust_events, directory
            )
        )

    async def _recover(self) -> list[dict[str, float]]:
        changelog = tuple(topic for topic in self._topics if topic.name == METER_CHANGELOG)
        await self._publish("a changelog", recovery.changelog(self._plan.keys), changelog)
        return [
            json.loads(await self._child("recovery", "scripts.bench.recovery", self._bootstrap))
            for _ in range(self._plan.repeats)
        ]

    async def _open_keys(self, keys: int, events: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            await self._child(f"{keys:,} open keys", "scripts.bench.open_keys", keys, events)
        )
        return found

    async def _child(self, what: str, module: str, *arguments: str | int) -> str:
        """Run a measured process; its last line."""
        with self._shown(what):
            log = self._folder / "child.log"
            with log.open("wb") as errors:
                child = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", module, *map(str, arguments), stdout=asyncio.subprocess.PIPE, stderr=errors
                )
                try:
                    said, _ = await child.communicate()
                finally:
                    if child.returncode is None:
                        child.kill()
                        await child.wait()
            lines = said.decode().split("\n")
            if child.returncode != 0 or len(lines) < 2:
                raise BenchmarkFailed(f"{module} failed:\n{log.read_text(errors='replace')[-2000:]}")
            return lines[-2]

    @contextmanager
    def _shown(self, what: str, total: int | None = None) -> Iterator[Any]:
        task = self._progress.add_task(what, total=total)
        yield task
        done = self._progress.tasks[task].completed or 1
        self._progress.update(task, total=done, completed=done)


def _dense(load: Load) -> Load:
    """The same events in a twelfth of the time: nearly every event of a batch belongs to another key."""
    return Load(load.events, load.hours / 12, load.users, load.partitions, load.ticks)


def _machine() -> dict[str, Any]:
    return {
        "cores": psutil.cpu_count(), "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(), "measured": time.strftime("%Y-%m-%d", time.gmtime()),
    }  # fmt: skip


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def as_json(bench: MeterBench) -> str:
    """One JSON object on one line: the six figures and their details."""
    return json.dumps(asdict(bench))


def _show(bench: MeterBench, console: Console) -> None:
    for name, value in asdict(bench).items():
        if name != "details":
            console.print(f"{name:36}{value:>14,}", highlight=False)


def main() -> None:
    """Measure, show, keep."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench.meter",
        description="Measure METER on a Kafka of its own: CPU seconds for a million events, memory, recovery.",
        epilog="example: python -m scripts.bench.meter --events 100000 --keys 100000 --repeats 1 --json",
    )
    parser.add_argument("--events", type=int, default=EVENTS, help="events end to end (default: %(default)s)")
    parser.add_argument(
        "--faust-events", type=int, default=FAUST_EVENTS, help="events for idiomatic Faust (%(default)s)"
    )
    parser.add_argument("--keys", type=int, default=KEYS, help="open keys for memory and recovery (%(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="runs to take the best of (%(default)s)")
    parser.add_argument("--ten-million", action="store_true", help="also ten times the keys (needs about 3 GB)")
    parser.add_argument("--json", action="store_true", help="end with one JSON object instead of a table")
    parser.add_argument("--keep", action="store_true", help=f"write {RESULTS.name} beside the other results")
    given = parser.parse_args()
    plan = Plan(given.events, min(given.faust_events, given.events), given.keys, given.repeats, given.ten_million)
    bench = asyncio.run(bench_meter(plan))
    if given.keep:
        RESULTS.write_text(json.dumps(asdict(bench), indent=2) + "\n")
    if given.json:
        print(as_json(bench), flush=True)
    else:
        _show(bench, Console())


if __name__ == "__main__":
    main()
