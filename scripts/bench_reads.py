"""`quarterhour bench reads`: how fast the read side answers, is rebuilt, and shows an event (aims in `AIMS`).

Two parts. Queries: an embedded ClickHouse filled with made-up ledger rows of 161 workspaces over a year, a fifth of
them of one; account views and 90-day trends over HTTP, every second one of the largest. Pipeline: a local stack with
real Kafka; a log through METER, ACCOUNTS and LOADER as fast as it goes, a rebuild of it all, then the talk goes on
at half that rate. There a second is 20 minutes of event time, and the clock ticks once a second as the live one does:
as many units close in a second as open. `--json` prints one object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from projections.account import account_view
from projections.connect import connect, ensure_database
from projections.embedded.process import command, wait_until_ready
from projections.loader.kafka import KafkaSource
from projections.loader.rows import LOADED_TOPICS
from projections.migrate import migrate
from projections.ranges import daily
from projections.rebuild import Swap, rebuild
from projections.rebuilding.readers import kafka_readers
from projections.sql import read_sql
from projections.trends import trend
from schemas.settings import Settings
from scripts.drain import drain
from scripts.local import local_stack
from scripts.replay.publisher import replay
from scripts.replay.source import EventLog, Message
from scripts.stack.home import Home
from scripts.stack.ports import free_port

AIMS = {
    "account_view_p99_ms": 50,
    "trend_90d_p99_ms": 50,
    "rebuild_rows_per_second": 300_000,
    "visible_p99_ms": 1_000,
}
WORKSPACES = 200
FIRST_DAY = datetime(2025, 1, 1, tzinfo=UTC)
TODAY = datetime(2026, 1, 1, tzinfo=UTC).date()
_FIRST_US = int(FIRST_DAY.timestamp()) * 1_000_000
_SLOT_SECONDS = 0.05
_SLOT_EVENT_US = 60_000_000
_SLOT_EVENTS = 50
_TICK_EVENT_US = round(_SLOT_EVENT_US / _SLOT_SECONDS)
_STAGES = ("meter", "accounts", "loader")


def main(arguments: list[str] | None = None) -> int:
    """Run both parts; the exit code is 0 whether the aims are reached or not."""
    parser = argparse.ArgumentParser(prog="quarterhour bench reads", description="Measure the read side.")
    parser.add_argument("--json", action="store_true", help="the last line on stdout is one JSON object")
    parser.add_argument("--rows", type=int, default=10_000_000, help="ledger lines for the queries (%(default)s)")
    parser.add_argument("--events", type=int, default=100_000, help="events through the pipeline (%(default)s)")
    parser.add_argument("--queries", type=int, default=400, help="of each kind (%(default)s)")
    given = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    found = {**_queries(given.rows, given.queries), **asyncio.run(_pipeline(given.events))}
    found["machine"] = f"{os.cpu_count()} cores, Python {sys.version.split()[0]}"
    found["load_average_before"] = round(load, 1)
    found["measured"] = datetime.now(UTC).strftime("%Y-%m-%d")
    for name, aim in AIMS.items():
        print(f"{name:26} {found[name]:>12,}   aim {aim:,}", file=sys.stderr)
    print(json.dumps(found) if given.json else json.dumps(found, indent=2), flush=True)
    return 0


def _queries(rows: int, queries: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="quarterhour-bench-") as folder:
        port = free_port()
        process = subprocess.Popen(command(folder, port))
        try:
            wait_until_ready(f"http://127.0.0.1:{port}", 60)
            url = f"http://127.0.0.1:{port}/quarterhour"
            ensure_database(url)
            client = connect(url)
            migrate(client)
            _fill(client, rows)
            return _ask(client, queries)
        finally:
            process.terminate()
            process.wait(60)


def _fill(client: Any, rows: int) -> None:
    for name in (
        "grants",
        "ledger_entries",
        "ledger_lines",
        "ledger_charges",
        "ledger_parts",
        "usage_daily",
        "watermarks",
    ):
        started = time.monotonic()
        parameters = {"entries": rows // 2, "workspaces": WORKSPACES, "first_us": _FIRST_US}
        settings = {"max_partitions_per_insert_block": 0}
        client.command(read_sql(f"bench/{name}.sql"), parameters=parameters, settings=settings)
        print(f"filled {name} in {time.monotonic() - started:.1f} s", file=sys.stderr)


def _ask(client: Any, queries: int) -> dict[str, Any]:
    chance = random.Random(1)  # noqa: S311 - only made-up load
    names = ["ws-0" if place % 2 else f"ws-{_other(chance)}" for place in range(queries)]
    zones = [ZoneInfo(name) for name in ("UTC", "Europe/Berlin", "Asia/Kolkata")]
    first = datetime(2025, 9, 1, tzinfo=UTC).date()
    last = datetime(2025, 11, 29, tzinfo=UTC).date()

    def view(place: int) -> None:
        assert account_view(client, names[place]) is not None

    def ninety_days(place: int) -> None:
        days = daily(TODAY, zones[place % len(zones)], first, last)
        assert sum(point.units for point in trend(client, names[place], days, by=("app",))) > 0

    lines = client.query("SELECT count() FROM ledger_lines").first_row[0]
    return {
        **_percentiles("account_view", view, queries),
        **_percentiles("trend_90d", ninety_days, queries),
        "ledger_rows": lines,
    }


def _other(chance: random.Random) -> int:
    """The number of a workspace that has entries; what would be the multiples of five is the largest one's."""
    return 5 * chance.randrange(WORKSPACES // 5) + chance.randrange(1, 5)


def _percentiles(name: str, question: Callable[[int], None], queries: int) -> dict[str, float]:
    for place in range(min(20, queries)):
        question(place)
    took = []
    for place in range(queries):
        started = time.perf_counter()
        question(place)
        took.append((time.perf_counter() - started) * 1000)
    took.sort()
    return {f"{name}_p50_ms": round(took[len(took) // 2], 1), f"{name}_p99_ms": round(_at(took, 0.99), 1)}


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


async def _pipeline(events: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="quarterhour-bench-") as folder:
        world = Home(Path(folder)).world("bench")
        async with local_stack(world, Settings(), lambda line: print(line, file=sys.stderr), live=False) as stack:
            settings, kept = stack.settings, stack.kept
            started = time.monotonic()
            await replay(_log("bench", events, 0), settings, None)
            await drain(settings)
            rate = events / (time.monotonic() - started)
            readers = kafka_readers(settings)
            async with KafkaSource(settings.kafka, LOADED_TOPICS) as source:
                rebuilt = await rebuild(settings.clickhouse_url, source, swap=Swap.NEVER, readers=readers)
            visible = await _at_half_load(settings, events, rate)
        return {
            "rebuild_rows_per_second": round(rebuilt.rows / rebuilt.loading_seconds),
            "rebuild_records_per_second": round(rebuilt.records / rebuilt.loading_seconds),
            "rebuild_rows": rebuilt.rows,
            "rebuild_same": rebuilt.is_same,
            "pipeline_events_per_second": round(rate),
            "kafka": "Apache Kafka" if kept else "throw-away broker",
            **visible,
        }


async def _at_half_load(settings: Settings, events: int, rate: float) -> dict[str, Any]:
    """From the event's append to its charge in ClickHouse, and to itself being there."""
    count = min(events, int(rate / 2 * 20))
    per_slot = max(1, round(rate / 2 * _SLOT_SECONDS))
    client = connect(settings.clickhouse_url)
    try:
        since = client.query("SELECT now64(3, 'UTC')").first_row[0]
        log = _log("half", count, (events // _SLOT_EVENTS + 1) * _SLOT_EVENT_US, per_slot)
        started = time.monotonic()
        await replay(log, settings, _TICK_EVENT_US / 1_000_000, tick_us=_TICK_EVENT_US)
        reached = count / (time.monotonic() - started)
        await drain(settings)
        query = (
            "SELECT round(quantileExact(0.5)(milliseconds)), round(quantileExact(0.99)(milliseconds)), count() "
            "FROM event_to_ledger WHERE event_append >= {since:DateTime64(3, 'UTC')}"
        )
        p50, p99, charges = client.query(query, parameters={"since": since}).first_row
        stages = client.query(read_sql("bench/stages.sql"), parameters={"since": since}).first_row
        return {
            **{f"{name}_p99_ms": stage for name, stage in zip(_STAGES, stages, strict=True)},
            "visible_p50_ms": p50,
            "visible_p99_ms": p99,
            "visible_charges": charges,
            "visible_events_per_second": round(reached),
        }
    finally:
        client.close()


def _log(name: str, events: int, later_us: int, per_slot: int = _SLOT_EVENTS) -> EventLog:
    """Talk of 2,000 users in 20 workspaces, about three conversations in four events; `per_slot` events a minute."""
    chance = random.Random(name)  # noqa: S311 - only made-up load
    messages = [
        Message(
            number + 1, f"ws-{chance.randrange(20)}", f"user {chance.randrange(2000)}",
            _FIRST_US + later_us + number // per_slot * _SLOT_EVENT_US, 40, 0,
        )
        for number in range(events)
    ]  # fmt: skip
    return EventLog(name, (name.encode().hex() * 64)[:64], "assistant", "chat", tuple(messages))


if __name__ == "__main__":
    sys.exit(main())
