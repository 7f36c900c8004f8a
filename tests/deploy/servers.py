"""A Kafka and a ClickHouse to run the composed commands against: the local stack's own, or containers."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from projections.embedded.process import command as clickhouse_command
from projections.embedded.process import wait_until_ready
from scripts.stack.kafka_artifacts import KafkaUnavailable, kafka_artifacts
from scripts.stack.kafka_node import KafkaNode
from scripts.stack.ports import free_port
from scripts.stack.process import ProcessSpec
from scripts.stack.supervisor import Supervisor
from tests.chosen import docker_or_skip
from tests.deploy.composed import ROOT

DATABASE = "quarterhour"


@dataclass(frozen=True, slots=True)
class Servers:
    """Their addresses, and the supervisor under which processes may be run beside them."""

    kafka: str
    clickhouse: str
    supervisor: Supervisor
    served: bool
    """Whether ClickHouse is a server of its own, with users and row policies."""
    freeze: Callable[[bool], None]
    """Stop Kafka's clock, and let it go on: for its clients it is away meanwhile."""


@asynccontextmanager
async def local_servers(folder: Path) -> AsyncIterator[Servers]:
    """Apache Kafka from its Maven artifacts and the embedded ClickHouse, each a process on loopback."""
    try:
        artifacts = kafka_artifacts(lambda _: None)
    except KafkaUnavailable as reason:
        pytest.skip(str(reason))
    node = KafkaNode.on_ports(artifacts, folder / "kafka")
    await node.prepare()
    port = free_port()
    address = f"http://127.0.0.1:{port}"

    async def ready() -> None:
        wait_until_ready(address, 80)

    async with Supervisor(folder / "logs", announce=print, signals=False) as supervisor:
        clickhouse = ProcessSpec("clickhouse", clickhouse_command(folder / "clickhouse", port), ready=ready)
        await supervisor.start([node.process("kafka"), clickhouse])

        def freeze(frozen: bool) -> None:
            (pid,) = (state.pid for state in supervisor.processes() if state.name == "kafka")
            assert pid is not None
            os.killpg(pid, signal.SIGSTOP if frozen else signal.SIGCONT)

        yield Servers(node.bootstrap, f"{address}/{DATABASE}", supervisor, served=False, freeze=freeze)
    assert supervisor.failure is None, supervisor.failure


@asynccontextmanager
async def container_servers(folder: Path) -> AsyncIterator[Servers]:
    """The services `kafka` and `clickhouse` of docker-compose.yml, by testcontainers."""
    docker_or_skip()
    from testcontainers.compose import DockerCompose

    password = os.environ.get("QUARTERHOUR_CLICKHOUSE_PASSWORD", DATABASE)
    with DockerCompose(ROOT, wait=True, services=["kafka", "clickhouse"]):
        url = f"http://quarterhour:{password}@127.0.0.1:8123/{DATABASE}"
        async with Supervisor(folder / "logs", announce=print, signals=False) as supervisor:
            yield Servers("127.0.0.1:9094", url, supervisor, served=True, freeze=_freeze_container)
        assert supervisor.failure is None, supervisor.failure


def _freeze_container(frozen: bool) -> None:
    arguments = ["docker", "compose", "pause" if frozen else "unpause", "kafka"]
    subprocess.run(arguments, cwd=ROOT, check=True, capture_output=True, timeout=60)
