"""The webhooks that are configured: the whole compacted topic in memory, kept up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.kafka import Address, client_arguments
from schemas.mails import Webhook
from schemas.topics import WEBHOOKS
from streams.durable.reader import ISOLATION

_decode = msgspec.json.Decoder(Webhook).decode


class Book:
    """Webhooks by workspace; pure. A record that is none is passed over: the command line writes none such."""

    def __init__(self) -> None:
        self._by_key: dict[bytes, Webhook] = {}
        self._by_workspace: dict[str, list[Webhook]] = {}

    def record(self, key: bytes | None, value: bytes | None) -> None:
        """Take one record of the topic, in order."""
        if key is None:
            return
        before = self._by_key.pop(key, None)
        if before is not None:
            self._by_workspace[before.workspace].remove(before)
        if value is not None:
            try:
                webhook = _decode(value)
            except (msgspec.DecodeError, UnicodeDecodeError):
                return
            self._by_key[key] = webhook
            self._by_workspace.setdefault(webhook.workspace, []).append(webhook)

    def by_workspace(self) -> Mapping[str, Sequence[Webhook]]:
        """All of them."""
        return self._by_workspace

    def find(self, workspace: str, webhook_id: str) -> Webhook | None:
        """One of them, None when there is none (any more)."""
        return next((w for w in self._by_workspace.get(workspace, ()) if w.webhook_id == webhook_id), None)


class BookReader:
    """Keeps a book up to date from the topic. `start` returns when everything up to then is in it."""

    def __init__(self, kafka: Address, partitions: int) -> None:
        self.book = Book()
        self._places = [TopicPartition(WEBHOOKS, partition) for partition in range(partitions)]
        self._consumer: Any = AIOKafkaConsumer(
            **client_arguments(kafka), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest",
            isolation_level=ISOLATION,
        )  # fmt: skip

    async def start(self) -> None:
        """Read the topic to its present end. Raises what the broker refuses."""
        await self._consumer.start()
        self._consumer.assign(self._places)
        await self._consumer.seek_to_beginning(*self._places)
        ends = await self._consumer.end_offsets(self._places)
        for place, end in ends.items():
            while await self._consumer.position(place) < end:
                self._take(await self._consumer.getmany(timeout_ms=200))

    async def follow(self) -> None:
        """Take what is added, for ever."""
        while True:
            self._take(await self._consumer.getmany(timeout_ms=1000))

    async def stop(self) -> None:
        """Disconnect."""
        await self._consumer.stop()

    def _take(self, found: Mapping[Any, Sequence[Any]]) -> None:
        for records in found.values():
            for record in records:
                self.book.record(record.key, record.value)
