"""A single-node Apache Kafka (KRaft) on loopback, its data in a given folder.

Guarantees: the data is kept and can be served again after kill -9 and on other ports; "ready" means that the node
answers as a broker and that every partition has a leader.

Left to others: keeping the process alive (supervisor.py), one node per folder (home.py; Kafka itself refuses a second),
topics (topics.py). A power cut may lose the last records: one replica, no fsync per record.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from scripts.stack.kafka_artifacts import KafkaArtifacts, KafkaUnavailable
from scripts.stack.kafka_properties import LOGGING, server_properties
from scripts.stack.ports import LOOPBACK, free_port
from scripts.stack.process import ProcessSpec

# Any fixed 16 bytes in base64: a data folder belongs to one stack, so all may have the same cluster id.
_CLUSTER_ID = "UXVhcnRlcmhvdXItb25lIQ"
_POLL_SECONDS = 0.05
_JVM = ("-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-XX:-UsePerfData", "-Djava.awt.headless=true")
QUICK_START = ("-Xms128m", "-Xmx512m", "-XX:TieredStopAtLevel=1")
"""The quick compiler only: half the start's CPU, a lower peak."""
STEADY = ("-Xms512m", "-Xmx1g")
"""For benchmarks: the full compiler and more room."""


class NotReady(TimeoutError):
    """The broker did not answer as one in time."""


@dataclass(frozen=True)
class KafkaNode:
    """One node: where its files are, where it listens, how it runs."""

    artifacts: KafkaArtifacts
    directory: Path
    port: int
    controller_port: int
    class_archive: Path | None = None
    jvm_options: tuple[str, ...] = QUICK_START
    more_properties: str = ""
    """Lines for the end of server.properties, where they count over those before."""

    @classmethod
    def on_ports(
        cls, artifacts: KafkaArtifacts, directory: Path, port: int | None = None, class_archive: Path | None = None
    ) -> "KafkaNode":
        """A node on the given port, or on a free one; the controller's port is always a free one."""
        return cls(artifacts, directory.absolute(), port or free_port(), free_port(), class_archive)

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def data(self) -> Path:
        return self.directory / "data"

    async def prepare(self) -> None:
        """Write the configuration and, the first time, format the storage."""
        self.data.mkdir(parents=True, exist_ok=True)
        properties = server_properties(self.data, self.port, self.controller_port)
        self._properties.write_text(properties + self.more_properties)
        self._logging.write_text(LOGGING)
        # Formatting writes this file last and in one step.
        if not (self.data / "meta.properties").exists():
            await self._format()

    def argv(self, *extra_options: str) -> list[str]:
        """The command that runs the node in the foreground; SIGTERM stops it in order (exit code 143)."""
        return [*self._java(*extra_options), "kafka.Kafka", str(self._properties)]

    def process(self, name: str = "kafka") -> ProcessSpec:
        """The node as a supervised process."""
        return ProcessSpec(name=name, argv=self.argv(), ready=self.ready(), grace_seconds=15)

    def ready(self, timeout_seconds: float = 60) -> Callable[[], Awaitable[None]]:
        return partial(wait_until_ready, self.bootstrap, timeout_seconds)

    @property
    def _properties(self) -> Path:
        return self.directory / "server.properties"

    @property
    def _logging(self) -> Path:
        return self.directory / "log4j2.properties"

    def _java(self, *extra_options: str) -> list[str]:
        archive = [f"-XX:SharedArchiveFile={self.class_archive}"] if self.class_archive is not None else []
        return [
            str(self.artifacts.java),
            *_JVM,
            *self.jvm_options,
            *archive,
            *extra_options,
            f"-Dlog4j2.configurationFile={self._logging.as_uri()}",
            f"-Dkafka.logs.dir={self.directory}",
            "-cp",
            self.artifacts.classpath,
        ]

    async def _format(self) -> None:
        tool = ("kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", _CLUSTER_ID)
        process = await asyncio.create_subprocess_exec(
            *(*self._java(), *tool, "-c", str(self._properties)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said, _ = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        if process.returncode != 0:
            raise KafkaUnavailable(
                f"Kafka could not format its storage in {self.data}: make sure that the folder is writable and holds "
                f"nothing else. It said:\n{said.decode(errors='replace')}"
            )


async def wait_until_ready(bootstrap: str, timeout_seconds: float) -> None:
    """Return when the broker answers ApiVersions and Metadata and all partitions have leaders; else NotReady."""
    deadline = time.monotonic() + timeout_seconds
    last: Exception | str = "nothing listens there"
    while (left := deadline - time.monotonic()) > 0:
        try:
            async with asyncio.timeout(left):
                if await _listens(bootstrap):
                    if await _serves(bootstrap):
                        return
                    last = "some partition has no leader yet"
        except (TimeoutError, OSError, KafkaError) as error:
            last = error
        await asyncio.sleep(_POLL_SECONDS)
    raise NotReady(f"no Kafka broker answers at {bootstrap} after {timeout_seconds:g} s ({last}); see its log")


async def _listens(bootstrap: str) -> bool:
    # Asked first, because the client logs an error for each refused connection.
    host, port = bootstrap.split(",")[0].rsplit(":", 1)
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def _serves(bootstrap: str) -> bool:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5_000)
    try:
        await admin.start()
        cluster = await admin.describe_cluster()
        topics = await admin.describe_topics()
    finally:
        await admin.close()
    leaders = [partition["leader"] for topic in topics for partition in topic["partitions"]]
    return bool(cluster["brokers"]) and all(leader >= 0 for leader in leaders)
