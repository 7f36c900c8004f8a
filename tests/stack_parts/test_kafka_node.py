"""A real single-node Apache Kafka under the real supervisor."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from scripts.stack.kafka_archive import class_archive, make_class_archive
from scripts.stack.kafka_artifacts import KafkaArtifacts
from scripts.stack.kafka_node import KafkaNode, NotReady, wait_until_ready
from scripts.stack.ports import free_port
from scripts.stack.supervisor import Supervisor
from scripts.stack.topics import PartitionsDiffer, TopicRefused, create_topics
from tests.stack_parts.toys import eventually, gone

LARGE = 8 * 1024 * 1024


@dataclass(frozen=True)
class Topic:
    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)


EVENTS = Topic("events", 3, {"max.message.bytes": str(LARGE + 65_536), "retention.ms": "-1"})
STATE = Topic("state", 1, {"cleanup.policy": "compact"})


async def publish(bootstrap: str, values: list[bytes]) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, enable_idempotence=True, acks="all", max_request_size=LARGE + 4_096
    )
    await producer.start()
    try:
        await asyncio.gather(*[await producer.send(EVENTS.name, value) for value in values])
    finally:
        await producer.stop()


async def read(bootstrap: str, count: int) -> list[bytes]:
    """At least `count` records, or what there is after a minute."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    values: list[bytes] = []
    try:
        consumer.assign([TopicPartition(EVENTS.name, partition) for partition in range(EVENTS.partitions)])
        async with asyncio.timeout(60):
            while len(values) < count:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    values.extend(record.value for record in records)
    except TimeoutError:
        pass
    finally:
        await consumer.stop()
    return values


def supervisor_in(folder: Path) -> Supervisor:
    return Supervisor(folder / "logs", announce=lambda _: None, signals=False)


def kafka_pid(supervisor: Supervisor) -> int:
    pid = supervisor.processes()[0].pid
    assert pid is not None
    return pid


@pytest.mark.stack
async def test_node_starts_makes_topics_and_carries_records_up_to_eight_mebibytes(
    artifacts: KafkaArtifacts, tmp_path: Path
) -> None:
    node = KafkaNode.on_ports(artifacts, tmp_path / "kafka", class_archive=class_archive(artifacts))
    await node.prepare()
    async with supervisor_in(tmp_path) as supervisor:
        await supervisor.start([node.process()])
        pid = kafka_pid(supervisor)
        both = await asyncio.gather(*[create_topics(node.bootstrap, [EVENTS, STATE]) for _ in range(2)])
        assert sorted(both[0] + both[1]) == ["events", "state"], "two at once make each topic exactly once"
        assert await create_topics(node.bootstrap, [EVENTS, STATE]) == []
        with pytest.raises(PartitionsDiffer, match="topic events has 3 partitions, wanted 5"):
            await create_topics(node.bootstrap, [Topic("events", 5), STATE])
        with pytest.raises(TopicRefused, match="refused topic odd"):
            await create_topics(node.bootstrap, [Topic("odd", 1, {"no.such.setting": "1"})])

        large = os.urandom(LARGE - 4_096)
        await publish(node.bootstrap, [b"small", large])
        assert sorted(await read(node.bootstrap, 2), key=len) == [b"small", large]
    assert gone(pid, 0), "the supervisor has waited for its end"
    assert "shut down completely" in (tmp_path / "logs" / "kafka.log").read_text(), "SIGTERM stops it in order"


@pytest.mark.stack
async def test_acknowledged_records_survive_kill_9_a_restart_and_other_ports(
    artifacts: KafkaArtifacts, tmp_path: Path
) -> None:
    values = [b"%d" % number for number in range(2_000)]
    first = KafkaNode.on_ports(artifacts, tmp_path / "kafka")
    await first.prepare()
    async with supervisor_in(tmp_path) as supervisor:
        await supervisor.start([first.process()])
        await create_topics(first.bootstrap, [EVENTS])
        await publish(first.bootstrap, values[:1_000])
        os.kill(kafka_pid(supervisor), signal.SIGKILL)
        await eventually(lambda: supervisor.processes()[0].restarts == 1)
        await eventually(lambda: supervisor.processes()[0].healthy, 120)
        await publish(first.bootstrap, values[1_000:])
        supervisor.request_stop()
        os.kill(kafka_pid(supervisor), signal.SIGKILL)  # so that it is not stopped in order
    second = KafkaNode.on_ports(artifacts, tmp_path / "kafka")
    assert {second.port, second.controller_port}.isdisjoint({first.port, first.controller_port})
    await second.prepare()
    async with supervisor_in(tmp_path) as supervisor:
        await supervisor.start([second.process()])
        found = await read(second.bootstrap, len(values))
    assert sorted(found) == sorted(values)


@pytest.mark.stack
def test_kill_9_of_the_supervisor_takes_the_java_machine_along(artifacts: KafkaArtifacts, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.stack_parts.supervised_program", str(tmp_path), "kafka"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as program:
        assert program.stdout is not None
        pid = int(program.stdout.readline().removeprefix("ready "))
        assert psutil.Process(pid).exe() == str(artifacts.java.resolve())
        program.kill()
    assert gone(pid)


@pytest.mark.stack
async def test_class_archive_is_made_once_and_fits(artifacts: KafkaArtifacts) -> None:
    said: list[str] = []
    made = await make_class_archive(artifacts, said.append)
    assert made is not None
    assert made.is_file()
    assert class_archive(artifacts) == made
    said.clear()
    assert await make_class_archive(artifacts, said.append) == made
    assert said == []


async def test_waiting_for_a_broker_that_is_not_there_ends_and_names_the_address() -> None:
    bootstrap = f"127.0.0.1:{free_port()}"
    with pytest.raises(NotReady, match=bootstrap):
        await wait_until_ready(bootstrap, 0.3)


async def test_something_else_that_listens_is_not_taken_for_a_broker() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", free_port())
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(NotReady):
            await wait_until_ready(f"127.0.0.1:{port}", 0.5)
