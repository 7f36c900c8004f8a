"""Every log with reference counts, through the whole pipeline, disturbed: `python -m scripts.together`.

Example: `python -m scripts.together --logs ../logs --away 65`. For each log of the folder (`X.csv.gz` with
`X.expected_by_user.csv.gz` beside it; default: $QUARTERHOUR_DATA) and for the public sample: a Kafka and ClickHouse of
its own; while LOADER loads, ClickHouse is killed and stays away so many seconds; then every reference count, the
reconciliation, a rebuild beside the live tables; then every record is published a second time, after which no query may
answer otherwise, but for what is told of the repeats. One line of JSON for each; exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from projections import usage
from projections.connect import connect
from projections.embedded.process import command, wait_until_ready
from projections.loader.kafka import KafkaSource
from projections.loader.rows import LOADED_TOPICS
from projections.rebuild import Swap, rebuild
from projections.rebuilding.readers import kafka_readers
from projections.reconcile import reconcile
from schemas.settings import Settings
from schemas.topics import INTERACTIONS
from scripts.commands import Input, read_input, spans_of
from scripts.drain import drain
from scripts.local import local_stack
from scripts.replay.publisher import replay
from scripts.replay.schedule import schedule
from scripts.stack.home import Home
from scripts.stack.ports import free_port
from streams.durable.machine import Output
from streams.durable.producer import new_producer, produce

Say = Callable[[str], None]
_CHUNK = 2_000


@dataclass(slots=True)
class ClickHouse:
    """An embedded ClickHouse outside of the stack, so that nobody starts it again before its time."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of its database."""
        return f"http://127.0.0.1:{self.port}/quarterhour"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process = subprocess.Popen(command(self.folder, self.port))
        wait_until_ready(f"http://127.0.0.1:{self.port}", 60)

    def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None, "it was started"
        self.process.kill()
        self.process.wait()


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found of one log; `good` if all of it is as it should be."""

    log: str
    events: int
    away_seconds: float
    reference_rows: int
    reference_differences: int
    reconcile_differences: int
    rebuilt_tables: int
    rebuilt_differences: int
    changed_by_repeats: tuple[str, ...]
    seconds: int

    @property
    def good(self) -> bool:
        """Whether there were reference counts, and nothing differs."""
        differences = self.reference_differences + self.reconcile_differences + self.rebuilt_differences
        return self.reference_rows > 0 and not differences and not self.changed_by_repeats


async def see(given: Input, away_seconds: float, say: Say) -> Seen:
    """One log."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="quarterhour-together-") as name:
        folder = Path(name)
        clickhouse = ClickHouse(folder / "clickhouse", free_port())
        async with _running(clickhouse):
            settings = Settings(clickhouse_url=clickhouse.url)
            async with local_stack(Home(folder).world("together"), settings, say, live=False) as stack:
                return await _seen(given, stack.settings, clickhouse, away_seconds, began, say)


@asynccontextmanager
async def _running(clickhouse: ClickHouse) -> AsyncIterator[None]:
    await asyncio.to_thread(clickhouse.start)
    try:
        yield
    finally:
        await asyncio.to_thread(clickhouse.kill)


async def _seen(
    given: Input, settings: Settings, clickhouse: ClickHouse, away_seconds: float, began: float, say: Say
) -> Seen:
    publishing = asyncio.create_task(replay(given.log, settings, None))
    away = await _take_away(clickhouse, away_seconds, say) if away_seconds else 0.0
    published = await publishing
    await drain(settings)
    say("loaded; comparing")
    client = connect(settings.clickhouse_url)
    try:
        comparison = await asyncio.to_thread(given.compare, client)
        found = await asyncio.to_thread(reconcile, client, spans_of(settings))
        readers = kafka_readers(settings)
        async with KafkaSource(settings.kafka, LOADED_TOPICS) as source:
            rebuilt = await rebuild(settings.clickhouse_url, source, swap=Swap.NEVER, readers=readers)
        before = await asyncio.to_thread(answers, client)
        say("publishing every record a second time")
        await _publish_again(given, settings)
        await drain(settings)
        after = await asyncio.to_thread(answers, client)
        again = await asyncio.to_thread(reconcile, client, spans_of(settings))
    finally:
        client.close()
    changed = tuple(name for name in before if before[name] != after[name])
    for name in changed:
        say(f"changed: {name} was {str(before[name])[:500]}, is {str(after[name])[:500]}")
    for difference in (*(comparison.differences if comparison else ()), *found.differences, *again.differences):
        say(f"differs: {difference}")
    return Seen(
        given.log.name, published.events, round(away, 1), comparison.rows if comparison else 0,
        len(comparison.differences) if comparison else 0, sum(found.counts.values()) + sum(again.counts.values()),
        len(rebuilt.comparisons), sum(not one.is_same for one in rebuilt.comparisons),
        changed, round(time.monotonic() - began),
    )  # fmt: skip


async def _take_away(clickhouse: ClickHouse, seconds: float, say: Say) -> float:
    """Kill ClickHouse once LOADER has begun to load, and start it again after a while; how long it was away."""
    client = connect(clickhouse.url)
    while not client.query("SELECT count() FROM interactions").first_row[0]:  # noqa: ASYNC110 - in another process
        await asyncio.sleep(0.1)
    client.close()
    await asyncio.to_thread(clickhouse.kill)
    gone = time.monotonic()
    say(f"ClickHouse is killed, and stays away for {seconds:g} s")
    await asyncio.sleep(seconds)
    await asyncio.to_thread(clickhouse.start)
    return time.monotonic() - gone


async def _publish_again(given: Input, settings: Settings) -> None:
    producer = new_producer(settings.kafka, "quarterhour-together", throwaway=settings.throwaway)
    await producer.start()
    try:
        chunk: list[Output] = []
        for step in schedule(given.log, settings.interaction_partitions, settings.allowed_lateness_us):
            chunk.append(Output(INTERACTIONS, step.partition, step.key, step.value))
            if len(chunk) >= _CHUNK:
                await produce(producer, chunk)
                chunk.clear()
        await produce(producer, chunk)
    finally:
        await producer.stop()


def answers(client: Any) -> dict[str, Any]:
    """What people ask for, by name; what is told of repeats and late events themselves is left out."""
    summary = usage.summary(client)
    views = {
        "billed_daily": "SELECT * FROM billed_daily ORDER BY ALL", "charges": "SELECT * FROM charges ORDER BY ALL",
        "units": "SELECT * FROM units ORDER BY unit_id", "usage_monthly": "SELECT * FROM usage_monthly ORDER BY ALL",
        "grant_statistics": "SELECT * FROM grant_statistics ORDER BY ALL",
        "balances_daily": "SELECT * FROM balances_daily ORDER BY ALL",
        "app_entitlements": "SELECT * FROM app_entitlements ORDER BY workspace, app",
    }  # fmt: skip
    return {
        "counts": (summary.conversations, summary.sessions, summary.rejected),
        "money": (summary.charged_micros, summary.due_micros, summary.lapsed_micros),
        "users": usage.units_by_user(client), "days": usage.units_by_day(client), "balances": usage.balances(client),
        "alerts": usage.alerts(client),
        **{name: client.query(query).result_rows for name, query in views.items()},
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """See the module."""
    words = (__doc__ or "").replace("`", "")
    parser = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("QUARTERHOUR_DATA", "")
    parser.add_argument("--logs", type=Path, default=Path(default) if default else None, help="folder of the logs")
    parser.add_argument("--away", type=float, default=65.0, help="seconds without ClickHouse, 0 for none (%(default)s)")
    parser.add_argument("--no-sample", action="store_true", help="the logs alone, without the public sample")
    given = parser.parse_args(arguments)
    found = sorted(given.logs.glob("*.expected_by_user.csv.gz")) if given.logs else []
    files: list[Path | None] = [file.with_name(file.name.replace(".expected_by_user", "")) for file in found]
    if not given.no_sample:
        files.append(None)
    if not files:
        parser.error("--logs: no folder with logs and their reference counts; name one, or set QUARTERHOUR_DATA")
    good = True
    for file in files:
        seen = asyncio.run(see(read_input(file), given.away, lambda line: print(line, file=sys.stderr, flush=True)))
        good = good and seen.good
        told = {name: getattr(seen, name) for name in Seen.__dataclass_fields__}
        print(json.dumps({**told, "good": seen.good}), flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
