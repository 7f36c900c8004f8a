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

_MAIL = "mail-"
_decode = msgspec.json.Decoder(DeadMail).decode


async def named(settings: Settings) -> dict[str, DeadMail]:
    """Every delivery given up by its name, `mail-ID`; of those given up again only the newest round.

    What was no alert has no id: its name is the place of its letter, `mails.dead-1-4`.
    """
    newest: dict[str, DeadMail] = {}
    for partition in range(settings.account_partitions):
        async with PartitionReader(settings.kafka, DEAD_MAILS, partition) as reader:
            async for records in reader.read(await reader.beginning(), await reader.end()):
                for record in records:
                    letter = _decode(record.value or b"")
                    place = f"{DEAD_MAILS}-{partition}-{record.offset}"
                    newest[f"{_MAIL}{letter.delivery_id}" if letter.delivery_id else place] = letter
    return newest


async def dead_mails(settings: Settings, workspace: str | None = None) -> list[DeadMail]:
    """Those of a workspace, or all; oldest first."""
    found = (await named(settings)).values()
    return sorted((one for one in found if workspace in (None, one.workspace)), key=lambda letter: letter.died_us)


def is_name(name: str) -> bool:
    """Whether this is how a delivery given up, or what was no alert, is called."""
    return name.startswith((_MAIL, f"{DEAD_MAILS}-"))


async def letter_named(settings: Settings, name: str) -> DeadMail:
    """The letter of that name; ConfigurationError when nothing of that name was given up."""
    found = (await named(settings)).get(name)
    if found is None:
        raise ConfigurationError(f"no {name} was given up: `quarterhour dlq list` shows those that were")
    return found


async def try_again(settings: Settings, delivery_id: str, by: str, now_us: int) -> DeadMail:
    """Ask MAILER to try a delivery again; ConfigurationError when none of that id was given up."""
    for letter in await dead_mails(settings):
        if letter.delivery_id == delivery_id and delivery_id:
            wish = letter.retry(by, now_us)
            partition = partition_of(letter.workspace, settings.account_partitions)
            value = msgspec.json.encode(wish)
            producer = new_producer(settings.kafka, "quarterhour-mails", throwaway=settings.throwaway)
            await producer.start()
            try:
                await produce(producer, [Output(MAIL_RETRIES, partition, letter.workspace.encode(), value)])
            finally:
                await producer.stop()
            return letter
    raise ConfigurationError(
        f"no delivery {delivery_id!r} was given up: `quarterhour mails dead` lists those that were"
    )
