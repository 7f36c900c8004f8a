"""Give a command and hear its answer: one producer and one tail of `account.replies` for everybody in this process.

A waiter is registered before its command is sent, so no reply can be missed; a reply that comes after its waiter has
left is kept and told to whoever asks again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, NamedTuple, Protocol

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.admission import or_refused
from schemas.commands import Command
from schemas.errors import InvalidRecord
from schemas.health import answered
from schemas.kafka import client_arguments
from schemas.ledger import LedgerRecord
from schemas.replies import decode_reply
from schemas.routing import partition_of
from schemas.settings import Settings
from schemas.topics import INBOX, LEDGER, REPLIES
from streams.durable.machine import Output
from streams.durable.reader import ISOLATION, PartitionReader
from streams.requests.desk import KEPT, Desk, Key, Old
from streams.requests.old import find_record
from streams.requests.sender import BrokerAway, Sender

log = logging.getLogger("quarterhour.requests")

WAIT_SECONDS = 1.0
RETRY_SECONDS = 1.0
LOOKUPS_AT_ONCE = 2
LOOKUP_BYTES = 256 * 1024
_encode = msgspec.json.Encoder().encode


class Answer(NamedTuple):
    """A command's ledger record. `repeated`: the command had been given before."""

    record: LedgerRecord
    repeated: bool


class Asking(Protocol):
    """What a door needs of `Requests`."""

    @property
    def desk(self) -> Desk: ...
    @property
    def listening(self) -> bool: ...
    async def ask(self, command: Command) -> Answer | None: ...
    async def __aenter__(self) -> object: ...
    async def __aexit__(self, *_: object) -> None: ...


class Requests:
    """Use as an async context manager. `wait_seconds`: how long `ask` waits for the broker and for the answer."""

    def __init__(self, settings: Settings, client_id: str, wait_seconds: float = WAIT_SECONDS) -> None:
        self.desk = Desk()
        self._kafka = settings.kafka
        self._partitions = settings.account_partitions
        self._wait_seconds = wait_seconds
        self._sender = Sender(self._kafka, client_id, throwaway=settings.throwaway)
        self._waiting: dict[Key, set[asyncio.Future[Answer]]] = {}
        self._looking: dict[Key, asyncio.Task[None]] = {}
        self._lookups = asyncio.Semaphore(LOOKUPS_AT_ONCE)
        self._listening = asyncio.Event()
        self._away = ""
        self._tail: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Requests:
        self._tail = asyncio.create_task(self._listen_for_ever(), name="replies")
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [*self._looking.values(), *([self._tail] if self._tail else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._sender.stop()

    @property
    def listening(self) -> bool:
        """Whether replies are heard, as far as the last look told."""
        return self._listening.is_set() and not self._away

    async def ask(self, command: Command) -> Answer | None:
        """Give a command; its answer, or None when none came in time: ask again with the same command, or the desk.

        Raises `BrokerAway` when it is not known whether the broker took the command.
        """
        key = self.desk.expect(command)
        known = self.desk.answer(key)
        if known is not None:
            return Answer(known, repeated=True)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, set()).add(future)
        sent = False
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._listening.wait()
                await self._sender.send(self._record(command))
                sent = True
                return await future
        except TimeoutError:
            if sent:
                return None
            raise BrokerAway from None
        finally:
            self._waiting[key].discard(future)
            if not self._waiting[key]:
                del self._waiting[key]

    def _record(self, command: Command) -> Output:
        partition = partition_of(command.workspace, self._partitions)
        return Output(INBOX, partition, command.workspace.encode(), _encode(command))

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                await self._listen()
            except (KafkaError, OSError) as error:
                why = await or_refused(self._kafka, repr(error))
                log.warning("replies are not heard: %s; trying again", why)
            except Exception:  # a fault of ours or of the client's: told, and listening goes on
                log.exception("replies are not heard; trying again")
            finally:
                self._listening.clear()
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        """Tail the replies, from shortly before now on."""
        consumer: Any = AIOKafkaConsumer(
            **client_arguments(self._kafka),
            group_id=None,  # everybody hears everything
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level=ISOLATION,
            fetch_max_wait_ms=500,
        )
        try:
            await consumer.start()
            partitions = [TopicPartition(REPLIES, number) for number in range(self._partitions)]
            consumer.assign(partitions)
            firsts, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
            for partition in partitions:
                consumer.seek(partition, max(firsts[partition], ends[partition] - KEPT // self._partitions))
            self._away = ""
            self._listening.set()
            while True:
                found = await consumer.getmany(timeout_ms=1000)
                # Silence is also what a broker gives that is away; the consumer finds it again by itself.
                self._away = "" if found else await answered(consumer.end_offsets(partitions[:1]), "no broker")
                for records in found.values():
                    for record in records:
                        self._hear(record)
        finally:
            with contextlib.suppress(KafkaError):
                await consumer.stop()

    def _hear(self, raw: Any) -> None:
        try:
            reply = decode_reply(raw.value)
        except InvalidRecord as error:
            log.error("%s/%s@%s is no reply: %s", REPLIES, raw.partition, raw.offset, error)
            return
        heard = self.desk.hear(reply)
        if isinstance(heard, Old):
            if heard.key not in self._looking:
                self._looking[heard.key] = asyncio.create_task(self._look_up(heard), name=f"old-{reply.command_id}")
        elif heard is not None and reply.record is not None:
            self._tell(heard, Answer(reply.record, repeated=False))

    async def _look_up(self, old: Old) -> None:
        """Find the answer of an old command in the ledger, and tell it."""
        try:
            async with self._lookups:
                record = await find_record(self._ledger_reader, old)
            if record is None:
                log.error("the ledger holds no record of %s", old)
                return
            self.desk.settle(old.key, record)
            self._tell(old.key, Answer(record, repeated=True))
        except (KafkaError, OSError, InvalidRecord) as error:
            log.warning("looking up %s: %r", old, error)
        finally:
            del self._looking[old.key]

    def _ledger_reader(self, partition: int) -> PartitionReader:
        return PartitionReader(self._kafka, LEDGER, partition, LOOKUP_BYTES)

    def _tell(self, key: Key, answer: Answer) -> None:
        for future in self._waiting.get(key, ()):
            if not future.done():
                future.set_result(answer)
