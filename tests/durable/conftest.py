"""What the tests of the protocol on a real Kafka share: trials, each with a broker of its own (it starts in 1.5 s)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from scripts.soaking.load import Load, soak_settings
from scripts.soaking.trial import Trial
from tests.servers import kafka_or_skip, new_broker

PARTITIONS = 2
SESSION_SECONDS = 2

NewTrial = Callable[..., AbstractAsyncContextManager[Trial]]


@pytest.fixture(scope="session")
def _kafka() -> None:
    kafka_or_skip()


@pytest.fixture
def new_trial(_kafka: None, tmp_path: Path) -> NewTrial:
    """A broker with empty topics, a crew without workers, a seeded load."""

    @asynccontextmanager
    async def trial(transport: str = "batch", seed: int = 7, **load: Any) -> Any:
        broker = new_broker(tmp_path)
        await broker.start()
        try:
            settings = soak_settings(
                broker.bootstrap, partitions=PARTITIONS, transport=transport, session_seconds=SESSION_SECONDS
            )
            async with Trial(broker, settings, tmp_path, Load(seed, PARTITIONS, **load)) as made:
                yield made
        finally:
            broker.stop()

    return trial
