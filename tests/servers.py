"""The Kafka and the ClickHouse of the tests: processes of this machine, or containers, as `tests.chosen` says.

Containers are of the images and environment of docker-compose.yml, each on a free port of loopback.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from projections.embedded.process import wait_until_ready as wait_for_clickhouse
from schemas.settings import Settings
from schemas.topics import topic_table
from scripts.local import CLICKHOUSE, KAFKA
from scripts.soaking.broker import Broker, RestartableBroker
from scripts.stack.kafka_artifacts import KafkaArtifacts, KafkaUnavailable, kafka_artifacts
from scripts.stack.kafka_node import wait_until_ready as wait_for_kafka
from scripts.stack.kafka_properties import server_properties
from scripts.stack.ports import LOOPBACK, free_port
from scripts.stack.topics import create_topics
from tests.chosen import containers_chosen, docker_or_skip
from tests.deploy.composed import compose

NewContainer = Callable[[str], Any]
"""An image's container, not started, as testcontainers' `DockerContainer`."""
_OUTSIDE = 9094
_ADVERTISED = "KAFKA_ADVERTISED_LISTENERS"
_START_SECONDS = 120


def kafka_or_skip() -> KafkaArtifacts | None:
    """What a local Kafka is started from, None with containers; skips with the reason where neither can be run."""
    if containers_chosen():
        docker_or_skip()
        return None
    try:
        return kafka_artifacts(lambda _: None)
    except KafkaUnavailable as reason:
        pytest.skip(str(reason))


def new_broker(directory: Path) -> RestartableBroker:
    """An empty Kafka that is not started yet; `directory` is its caller's too, for logs. Skips with the reason."""
    artifacts = kafka_or_skip()
    return KafkaContainer(directory) if artifacts is None else Broker(artifacts, directory)


@asynccontextmanager
async def servers_given(directory: Path) -> AsyncIterator[Mapping[str, Container]]:
    """A Kafka and a ClickHouse in containers, by their names in the stack; nothing where the stack starts its own."""
    given: dict[str, Container] = {}
    async with AsyncExitStack() as held:
        if kafka_or_skip() is None:
            for name, server in ((KAFKA, KafkaContainer(directory)), (CLICKHOUSE, ClickHouseContainer())):
                held.push_async_callback(asyncio.to_thread, server.stop)
                await server.start()
                given[name] = server
        yield given


def docker_container(image: str) -> Any:
    """A container of testcontainers; imported here, as it looks for the engine."""
    from testcontainers.core.container import DockerContainer

    return DockerContainer(image)


class Container(ABC):
    """A composed service on a port of its own: killed and started again, it has its data and its port."""

    def __init__(self, service: str, inside: int, new_container: NewContainer) -> None:
        self.service: dict[str, Any] = compose()["services"][service]
        self.port = free_port()
        self.restarts = 0
        self.container = new_container(self.service["image"]).with_envs(**self.environment())
        self.container.with_kwargs(hostname=service)  # the name that the composed listeners and voters have
        self.container.ports[f"{inside}/tcp"] = (LOOPBACK, self.port)
        self._created = self._running = False

    def environment(self) -> dict[str, str]:
        """The composed one."""
        return {name: str(value) for name, value in self.service["environment"].items()}

    @property
    @abstractmethod
    def given(self) -> dict[str, str]:
        """The settings that say where it is."""

    async def start(self) -> None:
        """Start it, again if it was killed, and wait until it serves."""
        if self._created:
            await asyncio.to_thread(self.container.get_wrapped_container().start)
            self.restarts += 1
        else:
            await asyncio.to_thread(self.container.start)
            self._created = True
        self._running = True
        await self.ready()

    @abstractmethod
    async def ready(self) -> None:
        """Wait until it serves."""

    def kill(self) -> None:
        """`kill -9`, by the engine; nothing where it does not run."""
        running, self._running = self._running, False
        if running:
            self.container.get_wrapped_container().kill()

    def stop(self) -> None:
        """Remove it, and what it holds."""
        self.container.stop()


class KafkaContainer(Container):
    """The composed Kafka, for the rest as the local node is configured: small, and soon back after it was killed."""

    def __init__(self, directory: Path, new_container: NewContainer = docker_container) -> None:
        super().__init__("kafka", _OUTSIDE, new_container)
        self.directory = directory
        self.directory.mkdir(parents=True, exist_ok=True)
        self.bootstrap = f"{LOOPBACK}:{self.port}"

    def environment(self) -> dict[str, str]:
        """The local properties, over them the composed ones, over these the port that clients are told."""
        lines = [line for line in server_properties(Path("data"), 0, 0).splitlines() if "=" in line and line[0] != "#"]
        local = {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in (x.split("=", 1) for x in lines)}
        composed = super().environment()
        listeners = [one for one in composed[_ADVERTISED].split(",") if not one.startswith("OUTSIDE:")]
        listeners.append(f"OUTSIDE://{LOOPBACK}:{self.port}")
        return {**local, **composed, _ADVERTISED: ",".join(listeners)}

    @property
    def given(self) -> dict[str, str]:
        return {"kafka_bootstrap_servers": self.bootstrap}

    async def ready(self) -> None:
        await wait_for_kafka(self.bootstrap, _START_SECONDS)

    async def create_topics(self, settings: Settings) -> None:
        """Every topic of the table."""
        await create_topics(self.bootstrap, topic_table(settings.interaction_partitions, settings.account_partitions))


class ClickHouseContainer(Container):
    """The composed ClickHouse; `address` has its user and password, and no database."""

    def __init__(self, new_container: NewContainer = docker_container) -> None:
        super().__init__("clickhouse", 8123, new_container)
        made = self.environment()
        self.database = made["CLICKHOUSE_DB"]
        user = f"{made['CLICKHOUSE_USER']}:{made['CLICKHOUSE_PASSWORD']}"
        self.address = f"http://{user}@{LOOPBACK}:{self.port}"

    @property
    def given(self) -> dict[str, str]:
        return {"clickhouse_url": f"{self.address}/{self.database}"}

    async def ready(self) -> None:
        await asyncio.to_thread(wait_for_clickhouse, f"http://{LOOPBACK}:{self.port}", _START_SECONDS)
