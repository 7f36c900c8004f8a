"""What the tests on a real Kafka share: a broker with all topics, one for the session."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.settings import Settings
from scripts.soaking.broker import RestartableBroker
from tests.servers import new_broker


@pytest.fixture(scope="package")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestartableBroker]:
    folder: Path = tmp_path_factory.mktemp("gateway-kafka")
    broker = new_broker(folder)

    async def begin() -> None:
        await broker.start()
        await broker.create_topics(Settings())

    asyncio.run(begin())
    yield broker
    broker.stop()
