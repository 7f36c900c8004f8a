"""A real Kafka for one test, with empty topics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from schemas.settings import Settings
from scripts.soaking.broker import RestartableBroker
from tests.servers import new_broker


@asynccontextmanager
async def a_broker(directory: Path, partitions: int = 2) -> AsyncIterator[tuple[RestartableBroker, Settings]]:
    """A broker with all topics, empty; those keyed by workspace have so many partitions."""
    broker = new_broker(directory)
    await broker.start()
    try:
        settings = Settings(
            kafka_bootstrap_servers=broker.bootstrap, account_partitions=partitions, interaction_partitions=2,
            session_timeout_seconds=3,
        )  # fmt: skip
        await broker.create_topics(settings)
        yield broker, settings
    finally:
        broker.kill()
        broker.stop()
