"""Deliveries given up (`mails.dead`): listed, and tried again by way of `mails.retry`."""

from __future__ import annotations

import msgspec

from schemas.errors import ConfigurationError
from schemas.mails import DeadMail
from schemas.routing import partition_of
from schemas.settings import Settings
from schemas.topics import DEAD_MAILS, MAIL_RETRIES
from streams.durable.machine import Output
from streams.durable.producer import new_producer, produce
from streams.durable.reader import PartitionReader

_decode = msgspec.json.Decoder(DeadMail).decode


async def dead_mails(settings: Settings, workspace: str | None = None) -> list[DeadMail]:
    """Every delivery given up, oldest first; of those given up again only the newest round."""
    newest: dict[str, DeadMail] = {}
    for partition in range(settings.account_partitions):
        async with PartitionReader(settings.kafka_bootstrap_servers, DEAD_MAILS, partition) as reader:
            async for records in reader.read(await reader.beginning(), await reader.end()):
                for record in records:
                    letter = _decode(record.value or b"")
                    if workspace is None or letter.workspace == workspace:
                        newest[letter.delivery_id or f"{partition}/{record.offset}"] = letter
    return sorted(newest.values(), key=lambda letter: letter.died_us)


async def try_again(settings: Settings, delivery_id: str, by: str, now_us: int) -> DeadMail:
    """Ask MAILER to try a delivery again; ConfigurationError when none of that id was given up."""
    for letter in await dead_mails(settings):
        if letter.delivery_id == delivery_id and delivery_id:
            wish = letter.retry(by, now_us)
            partition = partition_of(letter.workspace, settings.account_partitions)
            value = msgspec.json.encode(wish)
            producer = new_producer(settings.kafka_bootstrap_servers, "quarterhour-mails", throwaway=settings.throwaway)
            await producer.start()
            try:
                await produce(producer, [Output(MAIL_RETRIES, partition, letter.workspace.encode(), value)])
            finally:
                await producer.stop()
            return letter
    raise ConfigurationError(
        f"no delivery {delivery_id!r} was given up: `quarterhour mails dead` lists those that were"
    )
