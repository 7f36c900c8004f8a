"""`quarterhour backup` and `quarterhour restore`: the topics as files, and back (see `scripts/backing`)."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from schemas.settings import Settings
from scripts.backing.drill import Drill, Step
from scripts.backing.format import Manifest
from scripts.backing.restore import restore as restore_topics
from scripts.backing.save import save
from scripts.commands import LIVE_WORLD, progress_on, read_input, running_address
from scripts.local import KAFKA
from scripts.stack.home import Home, World
from scripts.stack.kafka_artifacts import kafka_artifacts
from scripts.stack.kafka_node import KafkaNode
from scripts.stack.supervisor import Supervisor

MOST_SHOWN = 20
_FREE_PORTS = dict.fromkeys(("kafka_port", "clickhouse_port", "metrics_port"))
Folder = Annotated[
    Path, typer.Argument(metavar="DIRECTORY", file_okay=False, help="a folder of its own for each backup")
]


def backup(folder: Folder) -> None:
    """Write every topic to files, with offsets and append times, while the stack runs or stands still.

    Example: quarterhour backup backups/2026-01-31
    """
    asyncio.run(_backup(Settings(), folder, Console()))


def restore(
    folder: Folder,
    world: Annotated[str, typer.Option(help="into which local world, when no Kafka is given")] = LIVE_WORLD,
) -> None:
    """Write a backup into an empty Kafka, before anything else is started on it; tables follow from the topics (law 5).

    Example: quarterhour restore backups/2026-01-31
    """
    asyncio.run(_restore(Settings(), folder, world, Console()))


def drill(
    file: Annotated[
        Path | None, typer.Option("--input", exists=True, dir_okay=False, help="an event log; default: the sample")
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, help="over how long its events are published")] = 20.0,
) -> None:
    """The disaster drill on a throw-away world: back up while events flow, lose everything, restore, go on, compare.

    Each step is printed with its result and time; the exit code is 1 if anything differs.

    Example: quarterhour drill
    """
    log, console = read_input(file).log, Console()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # of brokers that are just starting
    # Nothing of what runs here is touched: servers and ports are the drill's own.
    own = Settings().without_kafka().model_copy(update={"clickhouse_url": "", **_FREE_PORTS})
    with tempfile.TemporaryDirectory(prefix="quarterhour-drill-") as folder:
        steps = asyncio.run(Drill(Path(folder), log, own, seconds, lambda s: _show(console, s), lambda _: None).run())
    if any(step.differences for step in steps):
        raise typer.Exit(1)


def _show(console: Console, step: Step) -> None:
    state, style = ("differs", "red") if step.differences else ("ok", "green")
    console.print(
        f"[{style}]{state:7}[/] {step.seconds:6.1f} s  {escape(step.name)}: {escape(step.result)}", soft_wrap=True
    )
    for difference in step.differences[:MOST_SHOWN]:
        console.print(f"                  {difference}", style="red", markup=False, highlight=False, soft_wrap=True)
    if len(step.differences) > MOST_SHOWN:
        console.print(f"                  and {len(step.differences) - MOST_SHOWN:,} more", style="red")


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(backup)
    app.command()(restore)
    app.command()(drill)


async def _backup(settings: Settings, folder: Path, console: Console) -> None:
    if not settings.kafka_bootstrap_servers:
        settings = settings.model_copy(update={"kafka_bootstrap_servers": running_address(settings, KAFKA)})
    with progress_on(console) as progress:
        bar = progress.add_task("records", total=None)
        manifest = await save(settings, folder, lambda count: progress.advance(bar, count))
    _tell(console, manifest, f"are in {folder}")


async def _restore(settings: Settings, folder: Path, world: str, console: Console) -> None:
    async with _kafka(settings, _home(settings).world(world), console) as found:
        with progress_on(console) as progress:
            bar = progress.add_task("records", total=None)
            manifest = await restore_topics(found, folder, lambda count: progress.advance(bar, count))
    _tell(console, manifest, f"are restored as they were at {manifest.at}; LOADER builds the tables when it is started")


@asynccontextmanager
async def _kafka(settings: Settings, world: World, console: Console) -> AsyncIterator[Settings]:
    """The given Kafka, or the world's own without workers beside it."""
    if settings.kafka_bootstrap_servers:
        yield settings
        return

    def announce(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    with world.lock():
        node = KafkaNode.on_ports(kafka_artifacts(announce), world.kafka, settings.kafka_port)
        await node.prepare()
        async with Supervisor(world.logs, announce=announce) as supervisor:
            await supervisor.start([node.process(KAFKA)])
            yield settings.model_copy(update={"kafka_bootstrap_servers": node.bootstrap})


def _tell(console: Console, manifest: Manifest, where: str) -> None:
    records = sum(saved.records for saved in manifest.partitions)
    topics = len({saved.topic for saved in manifest.partitions})
    console.print(f"{records:,} records of {topics} topics {where}", markup=False, highlight=False, soft_wrap=True)


def _home(settings: Settings) -> Home:
    return Home(settings.home.expanduser().absolute()) if settings.home else Home.from_environment()
