"""A Faust worker whose agent hands each partition's records to its actor; group membership and assignment are Faust's.

Faust's own tables, commits and acknowledgements are not used: they lose or repeat events (spec: reliability, sections 1
to 3). Nothing is acknowledged to Faust, so it never commits; the committed offset is written here and follows the
position.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import faust
import faust.streams
import mode
from aiokafka.admin import AIOKafkaAdminClient

from schemas.errors import ConfigurationError
from schemas.settings import Settings
from streams.durable.actor import ActorContext, PartitionActor, raw_record
from streams.durable.failpoints import FailPoint
from streams.durable.machine import PartitionMachine, RawRecord
from streams.durable.producer import new_producer
from streams.durable.transport import BatchTransport

log = logging.getLogger("quarterhour.worker")

EXIT_CRASHED = 70
COMMIT_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Role:
    """Which state machine a worker runs, and over which topics. `group` is the consumer group's id."""

    group: str
    topic: str
    changelog: str
    new_machine: Callable[[int], PartitionMachine]


class _App(faust.App):  # type: ignore[misc]
    """A Faust app on the batch transport."""

    def _new_transport(self) -> Any:
        return BatchTransport(self.conf.broker_consumer, self)


class PartitionWorker:
    """The composition of one worker process: Faust app, producer, actors, committer."""

    def __init__(self, role: Role, settings: Settings, work_directory: Path) -> None:
        if faust.streams._CStreamIterator is None:
            raise ConfigurationError(
                "faust's compiled stream iterator is missing; the pure one acknowledges stale events"
            )
        if not settings.kafka_bootstrap_servers:
            raise ConfigurationError("KAFKA_BOOTSTRAP_SERVERS is not set: name the Kafka to use, e.g. 127.0.0.1:9092")
        self._role = role
        self._settings = settings
        self._actors: dict[int, tuple[PartitionActor, asyncio.Task[None]]] = {}
        self._committed: dict[int, int] = {}
        self._producer: Any = None
        self._admin: Any = None
        self._context: ActorContext | None = None
        self.app = self._new_app(work_directory)

    def _new_app(self, work_directory: Path) -> Any:
        role, settings = self._role, self._settings
        app_type = _App if settings.transport == "batch" else faust.App
        servers = settings.kafka_bootstrap_servers.split(",")
        app = app_type(
            role.group,
            broker=[f"kafka://{server.strip()}" for server in servers],
            datadir=str(work_directory / role.group),
            store="memory://",
            web_enabled=False,
            topic_allow_declare=False,  # topics come from the topic table
            topic_disable_leader=True,
            table_standby_replicas=0,
            agent_supervisor=mode.CrashingSupervisor,  # a restarted agent would commit past a lost event
            stream_wait_empty=False,  # nothing is acknowledged to Faust, so never wait for that
            stream_buffer_maxsize=64 if settings.transport == "batch" else 4096,
            broker_session_timeout=settings.session_timeout_seconds,
            broker_heartbeat_interval=max(settings.session_timeout_seconds / 4, 0.5),
            broker_request_timeout=max(40, settings.session_timeout_seconds + 10),
            broker_max_poll_records=5000,
            consumer_auto_offset_reset="earliest",
            consumer_max_fetch_size=4 * 1024 * 1024,
            producer_acks=-1,
        )
        topic = app.topic(role.topic, key_serializer="raw", value_serializer="raw", acks=False)

        @app.agent(topic, name=f"{role.group}.actors", concurrency=1)  # type: ignore[untyped-decorator]
        async def hand_over(stream: Any) -> None:
            async for event in stream.noack().events():
                await self._hand_over(event.message)

        app.on_partitions_assigned.connect(self._assigned, weak=False)
        app.on_partitions_revoked.connect(self._revoked, weak=False)
        app.task(on_leader=False)(self._commit_for_ever)
        return app

    async def _hand_over(self, message: Any) -> None:
        entry = self._actors.get(message.partition)
        if entry is None or message.generation_id != entry[0].generation:
            return  # fetched before a rebalance: the actor reads by position what it does not get (law 8)
        records = message.value if isinstance(message.value, list) else [message]
        if records[0] is message:
            await entry[0].feed([_raw_message(message)])
        else:
            await entry[0].feed([raw_record(record) for record in records])

    async def _assigned(self, app: Any, assigned: Iterable[Any], **_: Any) -> None:
        try:
            await self._stop_actors()
            context = await self._ready_context()
            generation = app.consumer_generation_id
            for tp in sorted(assigned):
                if tp.topic == self._role.topic:
                    actor = PartitionActor(tp.partition, generation, context)
                    task = asyncio.create_task(self._guard(actor), name=f"actor-{tp.partition}")
                    self._actors[tp.partition] = (actor, task)
        except Exception:
            crash("on assignment")

    async def _revoked(self, app: Any, revoked: Iterable[Any], **_: Any) -> None:
        await self._stop_actors()

    async def _stop_actors(self) -> None:
        """Cancel every actor; what it had not made durable is repeated by the partition's next owner."""
        tasks = [task for _, task in self._actors.values()]
        self._actors.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ready_context(self) -> ActorContext:
        if self._context is None:
            bootstrap = self._settings.kafka_bootstrap_servers
            self._producer = new_producer(bootstrap, f"{self._role.group}-{os.getpid()}", throwaway=self._settings.throwaway)
            await self._producer.start()
            self._admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
            await self._admin.start()
            self._context = ActorContext(
                bootstrap, self._role.topic, self._role.changelog, self._producer, self._role.new_machine,
                self._committed_offset, self._is_current, FailPoint(self._settings.fail_point),
            )  # fmt: skip
        return self._context

    async def _committed_offset(self, partition: int) -> int | None:
        offsets = await self._admin.list_consumer_group_offsets(self._role.group)
        found = [
            held.offset for tp, held in offsets.items() if (tp.topic, tp.partition) == (self._role.topic, partition)
        ]
        return found[0] if found and found[0] >= 0 else None

    def _is_current(self, partition: int, generation: int) -> bool:
        entry = self._actors.get(partition)
        return entry is not None and entry[0].generation == generation == self.app.consumer_generation_id

    async def _guard(self, actor: PartitionActor) -> None:
        try:
            await actor.run()
        except asyncio.CancelledError:
            raise
        except BaseException:
            crash(f"{self._role.topic}/{actor.partition}")

    async def _commit_for_ever(self) -> None:
        """Step 4: the committed offset follows the positions, for lag and for a quick start."""
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            positions = {p: actor.position for p, (actor, _) in self._actors.items() if actor.position is not None}
            moved = {p: position for p, position in positions.items() if self._committed.get(p) != position}
            if moved and await self._commit(moved):
                self._committed.update(moved)
                if self._context is not None:
                    self._context.fail_point.passed("offset")

    async def _commit(self, moved: dict[int, int]) -> bool:
        offsets = {faust.types.TP(self._role.topic, p): position for p, position in moved.items()}
        return bool(await self.app.consumer._commit(offsets))

    def run(self) -> None:
        """Run until SIGTERM or SIGINT; exits with 0 when asked to stop, 70 after a crash."""
        worker = faust.Worker(self.app, loglevel="INFO", redirect_stdouts=False)
        worker.execute_from_commandline()


def _raw_message(message: Any) -> RawRecord:
    return RawRecord(message.offset, round(message.timestamp * 1000), message.key, message.value, message.headers or ())


def crash(where: str) -> NoReturn:
    """End the process at once after an exception: nothing may be committed or cleaned up past it."""
    sys.stderr.write(f"quarterhour: stopping after an error ({where})\n")
    traceback.print_exc()
    sys.stderr.flush()
    os._exit(EXIT_CRASHED)
