"""The local stack: everything one machine needs, as one thing to start and stop.

Kafka and ClickHouse are the given ones (`KAFKA_BOOTSTRAP_SERVERS`, `CLICKHOUSE_URL`) or our own, kept in a world;
topics as the topic table says; METER, ACCOUNTS and LOADER, and in live use the clock. Where Java or Kafka's artifacts
cannot be had, a throw-away broker takes over, which keeps nothing and is said so. Leaves to others: what is done with
the stack.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from projections.connect import connect, ensure_database
from projections.embedded.process import command as clickhouse_command
from projections.embedded.process import wait_until_ready as wait_for_clickhouse
from projections.migrate import applied_migrations, drop_all, migrate, read_migrations
from schemas.settings import Settings
from schemas.topics import topic_table
from scripts.doors import PAGE, open_doors, signing_key
from scripts.stack.home import METRICS, StackRecord, World
from scripts.stack.kafka_archive import make_class_archive
from scripts.stack.kafka_artifacts import KafkaUnavailable, kafka_artifacts
from scripts.stack.kafka_node import KafkaNode, wait_until_ready
from scripts.stack.mailing import MAILBOX, open_mail
from scripts.stack.ports import free_port, given_or_free
from scripts.stack.process import ProcessSpec
from scripts.stack.supervisor import StopAsked, Supervisor
from scripts.stack.throwaway import WARNING, throwaway_broker, throwaway_process
from scripts.stack.topics import create_topics

Announce = Callable[[str], None]

DATABASE = "quarterhour"
KAFKA, CLICKHOUSE, METER, ACCOUNTS, LOADER, CLOCK = ("kafka", "clickhouse", "meter", "accounts", "loader", "clock")


@dataclass(frozen=True, slots=True)
class LocalStack:
    """A running stack. `settings` hold its addresses; `kept` is False when a throw-away broker serves it.

    `doors` are the addresses of the doors by name (see `scripts.doors`), none when only ClickHouse was started.
    """

    settings: Settings
    supervisor: Supervisor
    world: World
    kept: bool
    doors: Mapping[str, str]

    @property
    def page(self) -> str:
        """The address of the Plan & Usage page, empty when there is none."""
        return self.doors.get(PAGE, "")


@asynccontextmanager
async def local_stack(
    world: World, settings: Settings, announce: Announce, *, live: bool, workers: bool = True, with_doors: bool = True
) -> AsyncIterator[LocalStack]:
    """Start the stack of a world, and stop it at the end of the block. `live` adds the wall clock's ticks.

    `with_doors=False` leaves out what speaks HTTP to people and programs. Without `workers` only ClickHouse is started,
    to look at what is kept. Raises WorldInUse, ProcessFailed, StopAsked.
    """
    served = False
    metrics: dict[str, int] = {}
    doors: dict[str, str] = {}
    async with AsyncExitStack() as held:
        held.enter_context(world.lock())
        supervisor = await held.enter_async_context(Supervisor(world.logs, announce=announce))
        kept, clickhouse_data = True, world.clickhouse
        if workers and not settings.kafka_bootstrap_servers:
            settings, kept = await _start_kafka(supervisor, world, settings, announce)
            if not kept:
                folder = held.enter_context(tempfile.TemporaryDirectory(prefix="quarterhour-"))
                clickhouse_data = Path(folder)
        ours = not settings.clickhouse_url
        if ours:
            settings = await _start_clickhouse(supervisor, clickhouse_data, settings)
        if workers:
            await supervisor.during(_create_topics(settings))
            await supervisor.during(asyncio.to_thread(_prepare_tables, settings, announce, renew=ours))
            metrics = {name: free_port() for name in (METER, ACCOUNTS, LOADER, *((CLOCK,) if live else ()))}
            await supervisor.start(_workers(settings, live, metrics))
            if not settings.signing_key:
                settings = settings.model_copy(update={"signing_key": signing_key(world.signing_key_file)})
            mails = world.mails if kept else clickhouse_data / "mails"
            mail_specs, mail_addresses = open_mail(settings, mails) if live else ([], {})
            settings = settings.model_copy(
                update={"mailbox_url": settings.mailbox_url or mail_addresses.get(MAILBOX, "")}
            )
            specs: list[ProcessSpec] = []
            if with_doors:
                specs, doors = open_doors(settings)
            await supervisor.start([*specs, *mail_specs])
            doors |= mail_addresses
        record = _record(settings, supervisor, metrics, doors)
        world.publish(record)
        served = True
        yield LocalStack(settings, supervisor, world, kept, doors)
    if not served:  # the supervisor has swallowed it
        raise StopAsked


def _prepare_tables(settings: Settings, announce: Announce, *, renew: bool) -> None:
    """Before LOADER starts, so that only one of us migrates and readers find the tables at once.

    `renew` drops tables of an older version first, so that LOADER fills new ones from the topics: a new table does not
    know what was loaded before it, but the log does (L5). For our own ClickHouse only.
    """
    ensure_database(settings.clickhouse_url)
    client = connect(settings.clickhouse_url)
    try:
        known = renew and client.command("EXISTS TABLE schema_migrations")
        if known and 0 < applied_migrations(client) < len(read_migrations()):
            announce("the tables are of an older version: loading everything again from the topics")
            drop_all(client)
        migrate(client)
    finally:
        client.close()


async def _create_topics(settings: Settings) -> None:
    table = topic_table(settings.interaction_partitions, settings.account_partitions)
    await create_topics(settings.kafka, table)


async def _start_kafka(
    supervisor: Supervisor, world: World, settings: Settings, announce: Announce
) -> tuple[Settings, bool]:
    try:
        artifacts = kafka_artifacts(announce)
    except KafkaUnavailable as problem:
        announce(f"{problem}; {WARNING}")
        # Said already, in one line with its cause.
        program = await asyncio.to_thread(throwaway_broker, lambda line: None if line == WARNING else announce(line))
        port = free_port()
        await supervisor.start([throwaway_process(program, port, KAFKA)])
        address = f"127.0.0.1:{port}"
        await supervisor.during(wait_until_ready(address, 60))
        return settings.model_copy(update={"kafka_bootstrap_servers": address, "throwaway": True}), False
    archive = await make_class_archive(artifacts, announce)
    port = given_or_free(settings.kafka_port, "Kafka", "QUARTERHOUR_KAFKA_PORT")
    node = KafkaNode.on_ports(artifacts, world.kafka, port, class_archive=archive)
    await supervisor.during(node.prepare())
    await supervisor.start([node.process(KAFKA)])
    return settings.model_copy(update={"kafka_bootstrap_servers": node.bootstrap}), True


async def _start_clickhouse(supervisor: Supervisor, data: Path, settings: Settings) -> Settings:
    port = given_or_free(settings.clickhouse_port, "ClickHouse", "QUARTERHOUR_CLICKHOUSE_PORT")
    url = f"http://127.0.0.1:{port}"

    async def ready() -> None:
        await asyncio.to_thread(wait_for_clickhouse, url, 60)

    await supervisor.start([ProcessSpec(CLICKHOUSE, clickhouse_command(data, port, database=DATABASE), ready=ready)])
    return settings.model_copy(update={"clickhouse_url": f"{url}/{DATABASE}"})


def _workers(settings: Settings, live: bool, metrics: Mapping[str, int]) -> list[ProcessSpec]:
    modules = {METER: "streams.workers.meter", ACCOUNTS: "streams.workers.accounts", LOADER: "projections.loader"}
    if live:
        modules[CLOCK] = "streams.workers.clock"
    specs: list[ProcessSpec] = []
    for name, module in modules.items():
        own = settings.model_copy(update={"metrics_port": metrics.get(name)})
        specs.append(ProcessSpec(name, [sys.executable, "-m", module], own.environment()))
    return specs


def _record(
    settings: Settings, supervisor: Supervisor, metrics: Mapping[str, int], doors: Mapping[str, str]
) -> StackRecord:
    addresses = {CLICKHOUSE: settings.clickhouse_url, **doors}
    if settings.kafka_bootstrap_servers:
        addresses[KAFKA] = settings.kafka_bootstrap_servers
    addresses |= {f"{name}{METRICS}": f"http://127.0.0.1:{port}/metrics" for name, port in metrics.items()}
    pids = {state.name: state.pid for state in supervisor.processes() if state.pid is not None}
    return StackRecord.of_this_process(addresses, pids)
