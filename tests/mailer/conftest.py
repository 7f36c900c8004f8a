"""A real Kafka for the tests of MAILER's process: topics, workers that can be killed, and what came out."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.mails import MailStep
from schemas.settings import Settings
from schemas.topics import ALERTS, MAILS
from scripts.soaking.broker import RestartableBroker, spawn
from streams.durable.machine import Output
from streams.durable.producer import new_producer, produce
from streams.durable.reader import PartitionReader
from streams.mailer.notice import Notice
from tests.servers import kafka_or_skip, new_broker

PARTITIONS = 2
NewOffice = Callable[..., AbstractAsyncContextManager["Office"]]


@pytest.fixture(scope="session")
def _kafka() -> None:
    kafka_or_skip()


class Worker:
    """One MAILER process with a log of its own."""

    def __init__(self, settings: Settings, log: Path, **env: str) -> None:
        self.log = log
        argv = [sys.executable, "-m", "streams.workers.mailer"]
        self.process: subprocess.Popen[bytes] = spawn("mailer", argv, log, {**settings.environment(), **env})

    async def ended(self, seconds: float = 120) -> int:
        """Its exit code; fails with its log when it does not end."""
        for _ in range(round(seconds / 0.05)):
            if (code := self.process.poll()) is not None:
                return code
            await asyncio.sleep(0.05)
        raise AssertionError(self.log.read_text()[-3000:])

    async def says(self, text: str, seconds: float = 120, *, times: int = 1) -> None:
        """Wait until its log holds a text so many times."""
        for _ in range(round(seconds / 0.05)):
            if self.log.read_text().count(text) >= times:
                return
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            await asyncio.sleep(0.05)
        raise AssertionError(self.log.read_text()[-3000:])


class Office:
    """A broker with empty topics, the workers that came and went."""

    def __init__(self, broker: RestartableBroker, settings: Settings, producer: Any) -> None:
        self.broker, self.settings, self.producer = broker, settings, producer
        self.workers: list[Worker] = []

    def worker(self, **env: str) -> Worker:
        """Start one more."""
        made = Worker(self.settings, self.broker.directory / f"mailer-{len(self.workers)}.log", **env)
        self.workers.append(made)
        return made

    async def send(self, topic: str, *values: bytes, partition: int = 0) -> None:
        """Publish records."""
        await produce(self.producer, [Output(topic, partition, b"acme", value) for value in values])

    async def alert(self, *notices: Notice, partition: int = 0) -> None:
        """Publish alerts."""
        await self.send(ALERTS, *map(msgspec.json.encode, notices), partition=partition)

    async def values(self, topic: str, partitions: int = PARTITIONS) -> list[bytes]:
        """Everything a topic holds."""
        found: list[bytes] = []
        for partition in range(partitions):
            async with PartitionReader(self.settings.kafka, topic, partition) as reader:
                async for records in reader.read(0, await reader.end()):
                    found += [record.value or b"" for record in records]
        return found

    async def steps(self) -> list[MailStep]:
        """What `mails` holds."""
        return [msgspec.json.decode(value, type=MailStep) for value in await self.values(MAILS)]

    async def until(self, holds: Callable[[list[MailStep]], bool], seconds: float = 120) -> list[MailStep]:
        """The steps once the condition holds."""
        steps: list[MailStep] = []
        for _ in range(round(seconds / 0.2)):
            steps = await self.steps()
            if holds(steps):
                return steps
            await asyncio.sleep(0.2)
        raise AssertionError((steps, [worker.log.read_text()[-2000:] for worker in self.workers]))

    async def stop(self) -> None:
        """Kill whatever still runs."""
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.process.send_signal(signal.SIGKILL)
            worker.process.wait()
        await self.producer.stop()


@pytest.fixture
def new_office(_kafka: None, tmp_path: Path) -> NewOffice:
    """A Kafka of its own; keywords are settings."""

    @asynccontextmanager
    async def office(**given: Any) -> Any:
        broker = new_broker(tmp_path)
        await broker.start()
        try:
            settings = Settings(
                kafka_bootstrap_servers=broker.bootstrap, account_partitions=PARTITIONS,
                interaction_partitions=PARTITIONS, session_timeout_seconds=2, **given,
            )  # fmt: skip
            await broker.create_topics(settings)
            producer = new_producer(broker.bootstrap, "test")
            await producer.start()
            made = Office(broker, settings, producer)
            try:
                yield made
            finally:
                await made.stop()
        finally:
            broker.stop()

    return office
