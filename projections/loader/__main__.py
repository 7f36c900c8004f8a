"""`python -m projections.loader`: the composition root of LOADER. SIGTERM or SIGINT stop it after the batch in hand."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from clickhouse_connect.driver.client import Client

from projections.connect import connect, ensure_database, parse_url
from projections.loader.collecting import collecting_seldom
from projections.loader.kafka import KafkaSource
from projections.loader.loading import Loader
from projections.loader.metrics import LoadMetrics
from projections.loader.rows import LOADED_TOPICS
from projections.migrate import migrate
from schemas import logs
from schemas.errors import ConfigurationError, QuarterhourError, told_at_start
from schemas.exposing import expose
from schemas.health import Health, Look, watch
from schemas.settings import Settings
from schemas.tracing import new_tracer

_log = logging.getLogger("projections.loader")


async def load(settings: Settings) -> None:
    """Bring the tables up to date, then load until a signal asks to stop."""
    for name, value in (
        ("KAFKA_BOOTSTRAP_SERVERS", settings.kafka_bootstrap_servers),
        ("CLICKHOUSE_URL", settings.clickhouse_url),
    ):
        if not value:
            raise ConfigurationError(f"{name} is not set")
    stop = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    ensure_database(settings.clickhouse_url)
    client = connect(settings.clickhouse_url)
    for migration in migrate(client):
        _log.info("applied migration %04d_%s", migration.number, migration.name)
    async with KafkaSource(settings.kafka, LOADED_TOPICS) as source:
        tracer = new_tracer("loader", settings)
        loader = Loader(client, source, tracer=tracer)
        loader.metrics.ends = source.ends
        health = Health("loader", {"state": "it is finding out where to go on"})
        looks: dict[str, Look] = {
            "kafka": source.missing,
            "clickhouse": partial(_clickhouse_missing, client, settings.clickhouse_url),
        }
        try:
            async with _exposed(loader.metrics, health, looks, settings):
                await loader.start()
                health.tell("state", "")
                _log.info("loading %s", ", ".join(LOADED_TOPICS))
                await loader.run(stop)
        finally:
            if tracer is not None:
                await asyncio.to_thread(tracer.close)
    _log.info("stopped after %d records", loader.records_loaded)


@asynccontextmanager
async def _exposed(
    metrics: LoadMetrics, health: Health, looks: Mapping[str, Look], settings: Settings
) -> AsyncIterator[None]:
    """`/metrics`, `/health` and `/ready` within the block, if a port is given for them."""
    if settings.metrics_port is None:
        yield
        return
    stop = expose(metrics, health, settings.bind_address, settings.metrics_port)
    looking = asyncio.create_task(watch(health, looks))
    try:
        yield
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
        await asyncio.to_thread(stop)


async def _clickhouse_missing(client: Client, url: str) -> str:
    return "" if await asyncio.to_thread(client.ping) else f"ClickHouse at {parse_url(url)} is away"


def main() -> int:
    """The exit code: 0 after a signal, 1 on a fault, which is told in one line."""
    with told_at_start():
        settings = Settings()
    logs.set_up("loader", settings.log_format)
    # The loader tells of an absent ClickHouse itself, in one line for each try.
    for library in ("urllib3", "clickhouse_connect"):
        logging.getLogger(library).setLevel(logging.ERROR)
    try:
        with collecting_seldom():
            asyncio.run(load(settings))
    except QuarterhourError as error:
        _log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
