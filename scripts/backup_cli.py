"""`quarterhour backup` and `quarterhour restore`: the topics as files, and back (see `scripts/backing`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from schemas.settings import Settings
from scripts.backing.format import Manifest
from scripts.backing.restore import restore as restore_topics
from scripts.backing.save import save
from scripts.commands import LIVE_WORLD, progress_on, running_address
from scripts.local import KAFKA
from scripts.stack.home import Home, World
from scripts.stack.kafka_artifacts import kafka_artifacts
from scripts.stack.kafka_node import KafkaNode
from scripts.stack.supervisor import Supervisor

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


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(backup)
    app.command()(restore)


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
