"""What the commands do, apart from how they are spelled: `run`, `up`, and looking into what is kept."""

from __future__ import annotations

import asyncio
import getpass
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from projections import rebuild as rebuilding
from projections import reconcile, usage
from projections.connect import connect, ensure_database
from projections.loader.kafka import KafkaSource
from projections.loader.rows import LOADED_TOPICS
from projections.migrate import migrate
from projections.rebuilding.readers import kafka_readers
from schemas.catalog import DEFAULT_CATALOG, load_catalog
from schemas.errors import ConfigurationError
from schemas.settings import Settings
from schemas.signin import Person, issue
from schemas.topics import topic_table
from scripts.doors import DOORS, INGEST
from scripts.drain import Lag, drain
from scripts.local import CLICKHOUSE, KAFKA, LocalStack, local_stack
from scripts.references import Comparison, compare_with_files, compare_with_sample
from scripts.replay.publisher import replay
from scripts.replay.sample import sample_log
from scripts.replay.source import EventLog, read_log
from scripts.report import Findings, as_json, show
from scripts.stack.cache import cache_directory
from scripts.stack.home import Home, World
from scripts.stack.mailing import MAILBOX, SMTP
from scripts.stack.topics import create_topics

LIVE_WORLD = "live"


@dataclass(frozen=True, slots=True)
class Input:
    """What a run replays: the log, and its file unless it is the sample."""

    log: EventLog
    file: Path | None

    @property
    def world(self) -> str:
        """Every log is replayed in a world of its own: one log, one clock."""
        stem = re.sub(r"[^a-z0-9._-]+", "-", self.log.name.lower()).strip("-._")[:40] or "log"
        return f"{stem}-{self.log.digest[:12]}"

    def compare(self, client: Any) -> Comparison | None:
        """Compare with the reference counts of this log, if there are any."""
        return compare_with_sample(client) if self.file is None else compare_with_files(client, self.file)


def read_input(file: Path | None) -> Input:
    """The log to replay: the file, or the public sample."""
    if file is None:
        return Input(sample_log(cache_directory()), None)
    return Input(read_log(file), file)


async def run(
    given: Input, settings: Settings, console: Console, *, once: bool, json: bool, speed: float | None
) -> int:
    """Replay a log through the whole pipeline and report; without `once`, stay up. Returns the exit code."""
    world = _home(settings).world(given.world)
    announce = _announcer(console)
    code = 1 if once else 0  # a stop asked for before the report is no result, but no fault either
    async with local_stack(world, settings, announce, live=False) as stack:
        _say_where(stack, announce)
        await stack.supervisor.during(_replay_all(given.log, stack, console, speed))
        findings = await stack.supervisor.during(asyncio.to_thread(_find, given, stack))
        await asyncio.to_thread(_show, console, stack, findings)
        if json:
            print(as_json(findings), flush=True)
        code = 0 if findings.good else 1
        if not once:
            console.print("The stack stays up; Ctrl-C stops it. What is kept goes on at the next start.")
            await stack.supervisor.during(asyncio.Event().wait())
    return stack.supervisor.exit_code or code


async def up(settings: Settings, console: Console) -> int:
    """Serve the live stack until Ctrl-C; returns the exit code."""
    announce = _announcer(console)
    async with local_stack(_home(settings).world(LIVE_WORLD), settings, announce, live=True) as stack:
        _say_where(stack, announce)
        announce("Ready; Ctrl-C stops it. What is kept goes on at the next start.")
        await stack.supervisor.during(asyncio.Event().wait())
    return stack.supervisor.exit_code


async def prepare(settings: Settings, console: Console) -> None:
    """Bring a Kafka and a ClickHouse of one's own to what the pipeline needs; doing it again changes nothing."""
    for name, value in (
        ("KAFKA_BOOTSTRAP_SERVERS", settings.kafka_bootstrap_servers),
        ("CLICKHOUSE_URL", settings.clickhouse_url),
    ):
        if not value:
            raise ConfigurationError(f"{name} is not set: name the server to prepare (`quarterhour up` needs neither)")
    table = topic_table(settings.interaction_partitions, settings.account_partitions)
    created = await create_topics(settings.kafka, table, replication_factor=settings.replication_factor)
    console.print(f"{len(table)} topics, created now: {', '.join(created) or 'none'}", markup=False, highlight=False)
    applied = await asyncio.to_thread(_migrate, settings.clickhouse_url)
    console.print(f"tables are up to date, migrations applied now: {applied}", markup=False, highlight=False)


def _migrate(url: str) -> int:
    ensure_database(url)
    client = connect(url)
    try:
        return len(migrate(client))
    finally:
        client.close()


async def rebuild(settings: Settings, console: Console, *, swap: rebuilding.Swap, fresh: bool) -> int:
    """Rebuild the running stack's read side from the topics; exit code 1 if tables differed and were not swapped."""
    if not settings.kafka_bootstrap_servers:
        settings = settings.model_copy(update={"kafka_bootstrap_servers": running_address(settings, KAFKA)})
    if not settings.clickhouse_url:
        settings = settings.model_copy(update={"clickhouse_url": running_address(settings, CLICKHOUSE)})
    if fresh:
        await asyncio.to_thread(rebuilding.drop_beside, settings.clickhouse_url)
    readers = kafka_readers(settings)
    with progress_on(console) as progress:
        tasks = {stage: progress.add_task(stage, total=None) for stage in ("loading", "comparing", "swapping")}

        def tell(step: rebuilding.Progress) -> None:
            progress.update(tasks[step.stage], total=step.total, completed=step.done)

        async with KafkaSource(settings.kafka, LOADED_TOPICS) as source:
            done = await rebuilding.rebuild(settings.clickhouse_url, source, swap=swap, tell=tell, readers=readers)
    for comparison in done.comparisons:
        if not comparison.is_same:
            console.print(f"differs: {comparison}", style="red", markup=False)
    same = "every table is the same" if done.is_same else "tables differ"
    console.print(f"{done.records:,} records loaded; {same}; {'swapped in' if done.swapped else 'not swapped in'}")
    return 0 if done.is_same or done.swapped else 1


async def publish(log: EventLog, settings: Settings, console: Console, speed: float | None) -> int:
    """Replay a log into the Kafka of the settings, or of the running stack; returns the number of events published."""
    if not settings.kafka_bootstrap_servers:
        settings = settings.model_copy(update={"kafka_bootstrap_servers": running_address(settings, KAFKA)})
    with progress_on(console) as progress:
        task = progress.add_task("published", total=len(log.messages))
        done = await replay(log, settings, speed, lambda number: progress.update(task, completed=number))
    return done.events


@asynccontextmanager
async def kept_clickhouse(settings: Settings, console: Console, world_name: str | None = None) -> AsyncIterator[Any]:
    """A client of the ClickHouse of the settings, of the running stack, or of what was kept last, started for it.

    `world_name` chooses a world instead of the running or newest one.
    """
    if settings.clickhouse_url and world_name is None:
        yield connect(settings.clickhouse_url)
        return
    world = _kept_world(settings, world_name)
    record = world.running()
    if record is not None:
        yield connect(record.addresses[CLICKHOUSE])
        return
    announce = _announcer(console)
    async with local_stack(world, settings, announce, live=False, workers=False) as stack:
        yield connect(stack.settings.clickhouse_url)


def running_address(settings: Settings, part: str) -> str:
    """The address of a part of the running stack; ConfigurationError when none runs."""
    for world in _home(settings).worlds():
        record = world.running()
        if record is not None and part in record.addresses:
            return record.addresses[part]
    raise ConfigurationError(
        "no stack is running: start one with `quarterhour up`, or name the addresses in "
        "KAFKA_BOOTSTRAP_SERVERS and CLICKHOUSE_URL"
    )


def running(settings: Settings) -> Settings:
    """The settings, with the running stack's Kafka and ClickHouse where they name none; ConfigurationError if none."""
    found = {}
    if not settings.kafka_bootstrap_servers:
        found["kafka_bootstrap_servers"] = running_address(settings, KAFKA)
    if not settings.clickhouse_url:
        found["clickhouse_url"] = running_address(settings, CLICKHOUSE)
    return settings.model_copy(update=found)


def signing_key_of(settings: Settings) -> str:
    """The key that signs tokens: of the settings, else of the running stack's world; ConfigurationError if none."""
    if settings.signing_key:
        return settings.signing_key
    for world in _home(settings).worlds():
        if world.running() is not None and world.signing_key_file.exists():
            return world.signing_key_file.read_text(encoding="ascii")
    raise ConfigurationError(
        "no signing key: start a stack with `quarterhour up`, or set QUARTERHOUR_SIGNING_KEY, or set QUARTERHOUR_TOKEN "
        "to a token that somebody gave you"
    )


def spans_of(settings: Settings) -> reconcile.Spans:
    """The rules' spans under the settings."""
    return reconcile.Spans(lateness_us=settings.allowed_lateness_us)


def _home(settings: Settings) -> Home:
    return Home(settings.home.expanduser().absolute()) if settings.home else Home.from_environment()


def _kept_world(settings: Settings, name: str | None) -> World:
    """The named world, else the one that runs, else the one used last."""
    worlds = [world for world in _home(settings).worlds() if world.clickhouse.exists()]
    if not worlds:
        raise ConfigurationError("nothing is kept yet: start with `quarterhour run --once` or `quarterhour up`")
    if name is not None:
        for world in worlds:
            if world.name == name:
                return world
        raise ConfigurationError(f"there is no world {name!r}; there are {', '.join(world.name for world in worlds)}")
    running = [world for world in worlds if world.running() is not None]
    # Starting and stopping a stack writes into its world's folder.
    return (running or sorted(worlds, key=lambda world: world.directory.stat().st_mtime))[-1]


async def _replay_all(log: EventLog, stack: LocalStack, console: Console, speed: float | None) -> None:
    with progress_on(console) as progress:
        task = progress.add_task("published", total=len(log.messages))
        await replay(log, stack.settings, speed, lambda number: progress.update(task, completed=number))
        waiting = progress.add_task("through the pipeline", total=None)
        most = 0

        def tell(lag: Lag) -> None:
            nonlocal most
            left = sum(lag.values())
            most = max(most, left)
            progress.update(waiting, total=most, completed=most - left)

        await drain(stack.settings, tell)


def _find(given: Input, stack: LocalStack) -> Findings:
    settings = stack.settings
    client = connect(settings.clickhouse_url)
    try:
        started = time.monotonic()
        found = reconcile.reconcile(client, spans_of(settings), load_catalog(settings.catalog or DEFAULT_CATALOG))
        reconcile.record(client, found, time.monotonic() - started)
        restarts = sum(state.restarts for state in stack.supervisor.processes())
        return Findings(usage.summary(client), found, given.compare(client), restarts)
    finally:
        client.close()


def _show(console: Console, stack: LocalStack, findings: Findings) -> None:
    client = connect(stack.settings.clickhouse_url)
    try:
        show(console, client, findings)
    finally:
        client.close()


def _say_where(stack: LocalStack, announce: Callable[[str], None]) -> None:
    settings = stack.settings
    announce(f"Kafka at {settings.kafka_bootstrap_servers}, ClickHouse at {settings.clickhouse_url}")
    for door in DOORS:
        announce(f"{door.words} at {stack.doors[door.name]}")
    announce("Sign in to the page as an operator, for a day:")
    announce(f"  {sign_in_link(stack.page, stack.settings.signing_key)}")
    announce("A key, and an event over HTTP:")
    announce(f"  {curl_line(stack.doors[INGEST])}")
    if MAILBOX in stack.doors:
        announce(f"mail catcher at {stack.doors[SMTP]}, what it caught at {stack.doors[MAILBOX]}")
    announce(f"data and logs in {stack.world.directory}" if stack.kept else "nothing is kept of this run")


def sign_in_link(page: str, key: str) -> str:
    """An address that signs in to the page as an operator of this machine, for a day."""
    token = issue(Person(f"{getpass.getuser()}@cli", "operator"), key, datetime.now(UTC), timedelta(days=1))
    return f"{page}sign-in?token={token}"


def curl_line(ingest: str) -> str:
    """A command that publishes one event of now over HTTP with a new key."""
    event = (
        '{"specversion":"1.0","id":"\'$(date +%s%N)\'","source":"/curl","type":"quarterhour.message.v1",'
        '"time":"\'$(date -u +%FT%TZ)\'","data":{"workspace":"acme","app":"helper","channel":"web","user":"u1",'
        '"direction":"inbound"}}'
    )
    return (
        f'curl -sS {ingest}v1/events -H "Authorization: Bearer $(quarterhour keys create --quiet --workspace acme)" '
        f"-H 'Content-Type: application/cloudevents+json' -d '{event}'"
    )


def _announcer(console: Console) -> Callable[[str], None]:
    return lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)


def progress_on(console: Console) -> Progress:
    """How far something is, as a bar."""
    columns = (TextColumn("{task.description:22}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)
