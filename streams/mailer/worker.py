"""The composition of one MAILER process: group membership, a dispatcher for each partition, carriers, metrics.

The group says only which partitions are ours; where to go on is in the changelog (law 8), and who may write it is
decided by the broker (see `journal`). Committed offsets serve lag. Any error ends the process, and the supervisor
starts it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections import Counter
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Any, NoReturn

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError

from schemas import logs
from schemas.admission import admitted
from schemas.errors import QuarterhourError
from schemas.exposing import expose
from schemas.health import Health, answered, watch
from schemas.kafka import client_arguments
from schemas.mails import DeliveryChannel
from schemas.settings import Settings
from schemas.topics import ALERTS, MAIL_RETRIES, MAILER_CHANGELOG
from streams.durable.failpoints import FailPoint
from streams.durable.machine import RawRecord
from streams.durable.producer import new_producer, produce
from streams.durable.reader import ISOLATION, METADATA_MS
from streams.mailer.book import BookReader
from streams.mailer.desk import Desk, DeskPolicy
from streams.mailer.dispatcher import STEPS, Dispatcher, wall_clock_us
from streams.mailer.hooks import WebhookCarrier
from streams.mailer.journal import Journal
from streams.mailer.metrics import MailerMetrics
from streams.mailer.outbound import Carrier
from streams.mailer.retrying import RetryPolicy
from streams.mailer.smtp import SmtpCarrier, sender_domain

log = logging.getLogger("quarterhour.mailer")

GROUP = "quarterhour-mailer"
EXIT_CRASHED = 70
FINISH_SECONDS = 8.0
"""How long a stop or a rebalance waits for attempts under way; what is cut off after that is tried again."""
_POLL_MS = 500
_RECORDS_A_TIME = 500


class PositionError(QuarterhourError):
    """The state's position and what the broker holds contradict each other; going on would lose or repeat alerts."""


class _Place:
    """A partition that is ours: its dispatcher, journal and task."""

    def __init__(self, dispatcher: Dispatcher, journal: Journal, task: asyncio.Task[None]) -> None:
        self.dispatcher, self.journal, self.task = dispatcher, journal, task

    async def leave(self) -> None:
        await self.dispatcher.finish(FINISH_SECONDS)
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.journal.close()


class MailWorker(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """See the module."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kafka = settings.named_kafka()
        self._fail_point = FailPoint(settings.fail_point, STEPS)
        self._policy = DeskPolicy(
            sender_domain(settings.mail_from), RetryPolicy.of(settings), settings.interaction_partitions
        )
        self._smtp = SmtpCarrier.of(settings)
        self._places: dict[int, _Place] = {}
        self._gone: Counter[str] = Counter()
        self._moving = asyncio.Lock()  # records are planned between rebalances, not during one
        self._stop = asyncio.Event()
        self._health = Health("mailer", {"kafka": "Kafka has not answered yet", "group": "nothing is assigned yet"})
        self._held = AsyncExitStack()

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        async with self._held:
            await self._start()
            beside = [
                asyncio.create_task(_guard(self._book.follow())),
                asyncio.create_task(_guard(watch(self._health, {"kafka": self._kafka_missing}))),
            ]
            try:
                while not self._stop.is_set():
                    await self._read()
            finally:
                async with self._moving:  # an assignment that is under way goes on to its end, and finds its partitions
                    await self._leave_all()
                    for task in beside:
                        task.cancel()
                    await asyncio.gather(*beside, return_exceptions=True)

    async def _start(self) -> None:
        settings, held = self._settings, self._held
        kafka = self._kafka
        if settings.metrics_port is not None:
            metrics = MailerMetrics(self._desks, self._gone, wall_clock_us)
            held.callback(expose(metrics, self._health, settings.bind_address, settings.metrics_port))
        await admitted(kafka)
        self._producer = new_producer(kafka, f"{GROUP}-{os.getpid()}", throwaway=settings.throwaway)
        await self._producer.start()
        held.push_async_callback(self._producer.stop)
        self._book = BookReader(kafka, settings.account_partitions)
        held.push_async_callback(self._book.stop)
        await self._book.start()
        hooks = WebhookCarrier(self._book.book.find, settings.mail_timeout_seconds, loopback=settings.webhook_loopback)
        held.push_async_callback(hooks.close)
        self._carriers: dict[DeliveryChannel, Carrier] = {"email": self._smtp, "webhook": hooks}
        self._consumer: Any = AIOKafkaConsumer(
            **client_arguments(kafka),
            group_id=GROUP,
            group_instance_id=settings.group_instance_id or None,
            enable_auto_commit=False,  # the changelog says where to go on
            auto_offset_reset="earliest",  # until we have said where; what is below that is dropped
            isolation_level=ISOLATION,
            metadata_max_age_ms=METADATA_MS,
            session_timeout_ms=settings.session_timeout_seconds * 1000,
            heartbeat_interval_ms=max(settings.session_timeout_seconds * 250, 250),
            partition_assignment_strategy=(RangePartitionAssignor,),  # a partition of both topics to one member
        )
        held.push_async_callback(self._consumer.stop)
        self._consumer.subscribe([ALERTS, MAIL_RETRIES], listener=self)
        await self._consumer.start()

    async def _read(self) -> None:
        found = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_RECORDS_A_TIME)
        offsets: dict[Any, int] = {}
        for place, records in found.items():
            async with self._moving:
                ours = self._places.get(place.partition)
                if ours is not None:
                    raw = [RawRecord(r.offset, r.timestamp, r.key, r.value, r.headers or ()) for r in records]
                    await ours.dispatcher.take(place.topic, raw, self._book.book.by_workspace())
                    offsets[place] = ours.dispatcher.desk.position.offsets[place.topic]
        if offsets:
            with contextlib.suppress(KafkaError):  # a rebalance, say; nothing rests on it
                await self._consumer.commit(offsets)

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """See aiokafka: take the partitions over, and go on where their changelogs say."""
        try:
            places = list(assigned)
            async with self._moving:
                if self._stop.is_set():
                    return  # nothing is taken over any more
                for partition in sorted({place.partition for place in places}):
                    await self._take_over(partition)
                for place in places:
                    await self._go_to(place)
            self._health.tell("group", "")
        except Exception:  # aiokafka would log it and go on with nothing taken over
            crash("on assignment")

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        """See aiokafka: let go of all partitions, attempts under way ended if they end soon."""
        self._health.tell("group", "the group is assigning anew")
        try:
            async with self._moving:
                await self._leave_all()
        except Exception:  # aiokafka would log it and give away what is still being written
            crash("on revocation")

    async def _take_over(self, partition: int) -> None:
        settings = self._settings
        journal = Journal(self._kafka, partition, throwaway=settings.throwaway)
        desk = Desk.recovered(partition, self._policy, await journal.open())
        dispatcher = Dispatcher(desk, journal.write, self._publish, self._carriers, self._fail_point)
        task = asyncio.create_task(_guard(dispatcher.run()), name=f"partition-{partition}")
        self._places[partition] = _Place(dispatcher, journal, task)
        log.info("%s/%d: ours, %d deliveries open", ALERTS, partition, len(desk.deliveries))

    async def _go_to(self, place: TopicPartition) -> None:
        held = self._places[place.partition].dispatcher.desk.position.offsets.get(place.topic)
        first = (await self._consumer.beginning_offsets([place]))[place]
        end = (await self._consumer.end_offsets([place]))[place]
        if held is not None and not first <= held <= end:
            raise PositionError(
                f"{place.topic}/{place.partition}: the state's position is {held}, the log holds {first} to {end}; "
                f"restore what is missing, or reset {MAILER_CHANGELOG} to start anew"
            )
        self._consumer.seek(place, first if held is None else held)

    async def _leave_all(self) -> None:
        places, self._places = self._places, {}
        await asyncio.gather(*(place.leave() for place in places.values()))
        for place in places.values():
            self._gone.update(place.dispatcher.desk.counts)

    async def _publish(self, outputs: Any) -> None:
        await produce(self._producer, outputs)

    async def _kafka_missing(self) -> str:
        where = f"Kafka at {self._kafka} is away"
        return await answered(self._consumer.end_offsets([TopicPartition(ALERTS, 0)]), where)

    def _desks(self) -> dict[int, Desk]:
        return {partition: place.dispatcher.desk for partition, place in self._places.items()}


async def _guard(work: Any) -> None:
    """Any error ends the process: nothing may go on beside what has failed."""
    try:
        await work
    except asyncio.CancelledError:
        raise
    except BaseException:
        crash("at work")


def crash(where: str) -> NoReturn:
    """End the process at once after an exception."""
    logs.tell_crash(where)
    os._exit(EXIT_CRASHED)
