"""A Faust worker whose agent hands each partition's records to its actor; group membership and assignment are Faust's.

Faust's own tables, commits and acknowledgements are not used: they lose or repeat events (see this folder's README).
Nothing is acknowledged to Faust, so it never commits; the committed offset is written here and follows the position.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import faust
import faust.streams
import mode
from aiokafka.errors import ConsumerStoppedError, KafkaError

from schemas import health, logs
from schemas.admission import admitted
from schemas.errors import ConfigurationError, QuarterhourError
from schemas.exposing import metrics_text
from schemas.settings import Settings
from schemas.tracing import new_tracer
from streams.durable.actor import ActorContext, PartitionActor
from streams.durable.broker import broker_settings
from streams.durable.failpoints import FailPoint
from streams.durable.machine import PartitionMachine, RawRecord
from streams.durable.metrics import WorkerMetrics
from streams.durable.producer import new_producer
from streams.durable.reader import METADATA_MS, GroupView
from streams.durable.transport import BatchTransport, StockTransport
from streams.durable.watchdog import Watchdog

log = logging.getLogger("quarterhour.worker")

EXIT_CRASHED = 70
COMMIT_SECONDS = 0.25
WATCH_SECONDS = 1.0
PAUSE_SECONDS = 3.0
"""How long a rebalance waits for batches on their way to end, so that their state can be kept."""
STOP_SECONDS = 3.0
POLL_RECORDS = 5_000


class Stuck(QuarterhourError):
    """A partition has stood still with records waiting; a new process may get it going again."""


@dataclass(frozen=True, slots=True)
class Role:
    """Which state machine a worker runs, and over which topics. `group` is the consumer group's id."""

    group: str
    topic: str
    changelog: str
    new_machine: Callable[[int], PartitionMachine]


class _App(faust.App):  # type: ignore[misc]  # faust ships no types we can subclass strictly
    """A Faust app on our transports; `before_stop` runs while the group still counts us in."""

    transport_type: Any
    before_stop: Callable[[], Awaitable[None]]

    def _new_transport(self) -> Any:
        return self.transport_type(self.conf.broker_consumer, self)

    async def on_stop(self) -> None:
        await self.before_stop()
        await super().on_stop()


class PartitionWorker:
    """The composition of one worker process: Faust app, producer, actors, committer."""

    def __init__(self, role: Role, settings: Settings, work_directory: Path) -> None:
        if faust.streams._CStreamIterator is None:
            raise ConfigurationError(
                "faust's compiled stream iterator is missing; the pure one acknowledges stale events"
            )
        self._role = role
        self._settings = settings
        self._kafka = settings.named_kafka()
        self._actors: dict[int, tuple[PartitionActor, asyncio.Task[None]]] = {}
        self._kept: dict[int, PartitionActor] = {}
        self._committed: dict[int, int] = {}
        self._watchdog = Watchdog()
        self._ends: dict[int, int] = {}
        self._tracer = new_tracer(role.group.removeprefix("quarterhour-"), settings)
        self._producer: Any = None
        self._group: GroupView | None = None
        self._context: ActorContext | None = None
        self._health = health.Health(
            role.group.removeprefix("quarterhour-"), {"kafka": "", "group": "the group has assigned nothing yet"}
        )
        self.app = self._new_app(work_directory)

    def _new_app(self, work_directory: Path) -> Any:
        role, settings = self._role, self._settings
        app = _App(
            role.group,
            **broker_settings(self._kafka),
            datadir=str(work_directory / role.group),
            store="memory://",
            web_enabled=settings.metrics_port is not None,
            web_bind=settings.bind_address,
            web_port=settings.metrics_port or 6066,
            topic_allow_declare=False,  # topics come from the topic table
            topic_disable_leader=True,
            table_standby_replicas=0,
            agent_supervisor=mode.CrashingSupervisor,  # a restarted agent would commit past a lost event
            stream_wait_empty=False,  # nothing is acknowledged to Faust, so never wait for that
            stream_buffer_maxsize=64 if settings.transport == "batch" else 4096,
            broker_session_timeout=settings.session_timeout_seconds,
            consumer_group_instance_id=settings.group_instance_id or None,
            broker_heartbeat_interval=max(settings.session_timeout_seconds / 4, 0.5),
            broker_request_timeout=max(40, settings.session_timeout_seconds + 10),
            broker_max_poll_records=POLL_RECORDS,  # of the stock transport; the batch one takes runs (see `runs`)
            consumer_auto_offset_reset="earliest",
            consumer_max_fetch_size=4 * 1024 * 1024,
            consumer_metadata_max_age_ms=METADATA_MS,
            producer_acks=-1,
        )
        app.transport_type = BatchTransport if settings.transport == "batch" else StockTransport
        app.before_stop = self._before_stop
        topic = app.topic(role.topic, key_serializer="raw", value_serializer="raw", acks=False)

        @app.agent(topic, name=f"{role.group}.actors", concurrency=1)  # type: ignore[untyped-decorator]
        async def hand_over(stream: Any) -> None:
            async for event in stream.noack().events():
                await self._hand_over(event.message)

        @app.page("/metrics")  # type: ignore[untyped-decorator]
        async def metrics(view: Any, request: Any) -> Any:
            actors = {partition: actor for partition, (actor, _) in self._actors.items()}
            return view.bytes(metrics_text(WorkerMetrics(role.group, actors, self._ends)), content_type="text/plain")

        @app.page("/health")  # type: ignore[untyped-decorator]
        async def healthy(view: Any, request: Any) -> Any:
            self._health.turned()  # this answer is given by the loop
            return _told(view, self._health.healthy())

        @app.page("/ready")  # type: ignore[untyped-decorator]
        async def ready(view: Any, request: Any) -> Any:
            self._health.turned()
            self._health.tell("recovery", self._recovering())
            return _told(view, self._health.ready())

        app.on_partitions_assigned.connect(self._assigned, weak=False)
        app.on_partitions_revoked.connect(self._revoked, weak=False)
        app.task(on_leader=False)(self._commit_for_ever)
        app.task(on_leader=False)(self._watch_for_ever)
        return app

    async def _hand_over(self, message: Any) -> None:
        entry = self._actors.get(message.partition)
        if entry is None or message.generation_id != entry[0].generation:
            return  # fetched before a rebalance: the actor reads by position what it does not get (law 8)
        await entry[0].feed(message.value if isinstance(message.value, list) else [_raw_message(message)])

    async def _assigned(self, app: Any, assigned: Iterable[Any], **_: Any) -> None:
        try:
            await self._pause_actors()
            kept, self._kept = self._kept, {}
            context = await self._ready_context()
            generation = app.consumer_generation_id
            partitions = sorted(tp.partition for tp in assigned if tp.topic == self._role.topic)
            for partition in partitions:
                actor = kept.get(partition)
                if actor is not None and actor.generation + 1 == generation:
                    actor.renew(generation)  # ours in both generations, and none lies between: nobody else wrote
                else:
                    actor = PartitionActor(partition, generation, context)
                task = asyncio.create_task(self._guard(actor), name=f"actor-{partition}")
                self._actors[partition] = (actor, task)
            resumed = [p for p, (actor, _) in self._actors.items() if actor is kept.get(p)]
            self._health.tell("group", "")
            log.info("generation %s: assigned %s, state kept for %s", generation, partitions, resumed)
        except Exception as error:
            self._fault("on assignment", error)

    async def _revoked(self, app: Any, revoked: Iterable[Any], **_: Any) -> None:
        try:
            await self._pause_actors()
        except Exception as error:
            self._fault("on revocation", error)

    async def _pause_actors(self) -> None:
        """Stop every actor, at a batch boundary if it gets there soon; then its state can be kept.

        What an actor had not made durable is repeated by the partition's next owner.
        """
        self._health.tell("group", "the group is assigning anew")
        actors, self._actors = self._actors, {}
        for actor, task in actors.values():
            actor.stop()
            if actor.position is None:
                task.cancel()
        if actors:
            await asyncio.wait([task for _, task in actors.values()], timeout=PAUSE_SECONDS)
        for _, task in actors.values():
            task.cancel()
        await asyncio.gather(*(task for _, task in actors.values()), return_exceptions=True)
        self._kept |= {partition: actor for partition, (actor, _) in actors.items() if actor.resumable}

    async def _before_stop(self) -> None:
        """A stop in order: batches end, their positions are committed, clients are closed. Not needed for exactness."""
        await self._pause_actors()
        positions = {p: actor.position for p, actor in self._kept.items() if actor.position is not None}
        if positions:
            try:
                await asyncio.wait_for(self._commit(positions), STOP_SECONDS)
            except Exception as error:
                log.warning("the last positions are not committed: %r", error)
        clients = [client for client in (self._producer, self._group) if client is not None]
        self._producer = self._group = self._context = None
        closing = [client.stop() for client in clients]
        if self._tracer is not None:
            closing.append(asyncio.to_thread(self._tracer.close))
        try:
            await asyncio.wait_for(asyncio.gather(*closing), STOP_SECONDS)
        except Exception as error:
            log.warning("clients are left open: %r", error)

    async def _ready_context(self) -> ActorContext:
        if self._context is None:
            role, settings = self._role, self._settings
            self._producer = new_producer(self._kafka, f"{role.group}-{os.getpid()}", throwaway=settings.throwaway)
            await self._producer.start()
            self._group = GroupView(self._kafka, role.group, role.topic)
            await self._group.start()
            self._context = ActorContext(
                self._kafka, role.topic, role.changelog, self._producer, role.new_machine,
                self._group.committed, self._is_current, FailPoint(settings.fail_point), settings.batch_records,
                tracer=self._tracer,
            )  # fmt: skip
        return self._context

    def _is_current(self, partition: int, generation: int) -> bool:
        entry = self._actors.get(partition)
        return entry is not None and entry[0].generation == generation == self.app.consumer_generation_id

    async def _guard(self, actor: PartitionActor) -> None:
        try:
            await actor.run()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._fault(f"{self._role.topic}/{actor.partition}", error)

    def _fault(self, where: str, error: BaseException) -> None:
        """End the process, unless it is ending: then clients are being closed under whoever still uses them."""
        if self.app.should_stop:
            log.warning("%s, while stopping: %r", where, error)
        else:
            crash(where)

    def _recovering(self) -> str:
        """Which partitions' state is still being read, as a sentence; empty for none."""
        left = sorted(partition for partition, (actor, _) in self._actors.items() if actor.position is None)
        return f"the state of partitions {left} is being recovered" if left else ""

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

    async def _watch_for_ever(self) -> None:
        """Tell the actors where the log ends, and end the process when one stands still before it."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            actors = {partition: actor for partition, (actor, _) in self._actors.items()}
            if self._group is None:
                continue
            try:
                # Who was assigned nothing stands by; whether the broker is there is asked all the same.
                ends = await asyncio.wait_for(self._group.ends(actors or (0,)), 5 * WATCH_SECONDS)
            except (KafkaError, ConsumerStoppedError, TimeoutError) as error:
                self._health.tell("kafka", f"Kafka at {self._kafka} is away: {error!r}")
                continue  # no broker, nothing to deliver; or we are stopping
            self._health.tell("kafka", "")
            self._ends = ends = {partition: end for partition, end in ends.items() if partition in actors}
            for partition, end in ends.items():
                actors[partition].note_end(end)
            positions = {partition: actor.position for partition, actor in actors.items()}
            stuck = self._watchdog.observe(positions, ends)
            if stuck:
                try:
                    raise Stuck(f"{self._role.topic}: partitions {stuck} stand still with records waiting")
                except Stuck:
                    crash("watchdog")

    def run(self) -> None:
        """Run until SIGTERM or SIGINT; exits with 0 when asked to stop, 70 after a crash.

        Raises NotAdmitted when Kafka refuses us, which Faust would not tell apart from a Kafka that is away.
        """
        _run_apart(admitted(self._kafka))
        logging_config = None
        if self._settings.log_format == "json":
            logging_config = logs.configuration(self._role.group, "json")
        worker = faust.Worker(
            self.app, loglevel="INFO", redirect_stdouts=False, logging_config=logging_config, quiet=bool(logging_config)
        )
        try:
            worker.execute_from_commandline()
        except SystemExit as end:
            sys.exit(EXIT_CRASHED if end.code else 0)


def _run_apart(asked: Coroutine[None, None, None]) -> None:
    """Run something to its end before Faust makes its loop; `asyncio.run` would leave the thread without one."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(asked)
    finally:
        loop.close()


def _told(view: Any, answer: health.Answer) -> Any:
    return view.bytes(answer.body, content_type=health.JSON, status=answer.status)


def _raw_message(message: Any) -> RawRecord:
    return RawRecord(message.offset, round(message.timestamp * 1000), message.key, message.value, message.headers or ())


def crash(where: str) -> NoReturn:
    """End the process at once after an exception: nothing may be committed or cleaned up past it."""
    logs.tell_crash(where)
    os._exit(EXIT_CRASHED)
