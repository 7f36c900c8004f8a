"""A real single-node Kafka that may be killed and started again on the same data and port."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Protocol

from schemas.settings import Settings
from schemas.topics import topic_table
from scripts.stack import child
from scripts.stack.kafka_archive import class_archive
from scripts.stack.kafka_artifacts import KafkaArtifacts
from scripts.stack.kafka_node import KafkaNode, wait_until_ready
from scripts.stack.topics import create_topics


def spawn(name: str, argv: list[str], log: Path, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a program that dies with us, its output appended to `log`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", child.__file__, str(os.getpid()), name, *argv],
            env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip


class RestartableBroker(Protocol):
    """A Kafka for a trial, wherever it runs. After `kill` and `start` it has the same data and the same port."""

    directory: Path
    bootstrap: str

    async def start(self) -> None: ...

    async def create_topics(self, settings: Settings) -> None: ...

    def kill(self) -> None: ...

    def stop(self) -> None: ...


class Broker:
    """One node in a folder of its own."""

    def __init__(self, artifacts: KafkaArtifacts, directory: Path) -> None:
        self.directory = directory
        self.node = KafkaNode.on_ports(artifacts, directory / "kafka", class_archive=class_archive(artifacts))
        self.bootstrap = self.node.bootstrap
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it, and wait until it serves."""
        self.directory.mkdir(parents=True, exist_ok=True)
        await self.node.prepare()
        self._process = spawn("kafka", self.node.argv(), self.directory / "kafka.log")
        await wait_until_ready(self.bootstrap, 60)

    async def create_topics(self, settings: Settings) -> None:
        """Every topic of the table; each group of tests has its own by using its own broker, or `recreate`."""
        await create_topics(self.bootstrap, topic_table(settings.interaction_partitions, settings.account_partitions))

    def kill(self) -> None:
        """`kill -9`."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop it in order."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
