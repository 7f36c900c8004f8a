"""Dead letters: records METER or ACCOUNTS set aside. They can be listed, shown whole, and put back, corrected or not.

A letter is named by where its record lies, `interactions-2-1043` or `account.inbox-0-17`. Putting an event back
publishes it again: if it is still broken it is refused again, and if it had been metered meanwhile, its identity makes
the second one no news (U7). Of the inbox only commands go back, by their id once (law 3): what METER says has its place
in the log.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from schemas.aside import SetAside
from schemas.commands import Command, decode_inbox
from schemas.errors import ConfigurationError, InvalidRecord
from schemas.routing import murmur2, partition_of
from schemas.settings import Settings
from schemas.topics import INBOX, INTERACTIONS, REJECTED
from schemas.units import Origin
from streams.durable.machine import Output
from streams.durable.producer import new_producer, produce
from streams.durable.reader import PartitionReader

RETRIED = "quarterhour-retried-from"
"""The header of a record that was put back; its value names the letter."""
_NAME = re.compile(r"(?P<topic>[a-z.]+)-(?P<partition>\d{1,9})-(?P<offset>\d{1,18})")
_DECODER = msgspec.json.Decoder(SetAside)


@dataclass(frozen=True, slots=True)
class Record:
    """The refused record itself, whole."""

    key: bytes | None
    value: bytes


def name_of(origin: Origin) -> str:
    """How a letter is called on the command line."""
    return f"{origin.topic}-{origin.partition}-{origin.offset}"


def parse(name: str) -> tuple[str, int, int]:
    """(topic, partition, offset) of a letter's name; ConfigurationError when it is none."""
    found = _NAME.fullmatch(name)
    if found is None or found["topic"] not in (INTERACTIONS, INBOX):
        raise ConfigurationError(
            f"{name!r} names no dead letter: give one as listed, e.g. {INTERACTIONS}-0-17 or mail-ID"
        )
    return found["topic"], int(found["partition"]), int(found["offset"])


async def letters(settings: Settings, wanted: Callable[[SetAside], bool]) -> AsyncGenerator[SetAside, None]:
    """Every letter that is wanted, oldest first within each partition; each record once."""
    for number in range(settings.interaction_partitions):
        async with PartitionReader(settings.kafka, REJECTED, number) as reader:
            seen: set[Origin] = set()
            async for run in reader.read(await reader.beginning(), await reader.end()):
                for record in run:
                    letter = _DECODER.decode(record.value or b"")
                    if letter.origin not in seen and wanted(letter):
                        seen.add(letter.origin)
                        yield letter


async def letter_named(settings: Settings, name: str) -> SetAside:
    """The letter of that name; ConfigurationError when no record there was refused."""
    place = parse(name)

    def wanted(letter: SetAside) -> bool:
        return (letter.origin.topic, letter.origin.partition, letter.origin.offset) == place

    async with aclosing(letters(settings, wanted)) as found:
        async for letter in found:
            return letter
    raise ConfigurationError(f"no record {name} was refused: `quarterhour dlq list` shows those that were")


async def record_of(settings: Settings, name: str) -> Record:
    """The record as it was published."""
    topic, partition, offset = parse(name)
    async with PartitionReader(settings.kafka, topic, partition) as reader:
        async for run in reader.read(offset, offset + 1):
            return Record(run[0].key, run[0].value or b"")
    raise ConfigurationError(f"{name} is no longer in the topic {topic}")


async def put_back(settings: Settings, name: str, corrected: bytes | None = None) -> int:
    """Publish the record again, or a corrected value in its stead; returns the partition it went to."""
    await letter_named(settings, name)
    record = await record_of(settings, name)
    value = record.value if corrected is None else corrected
    headers = ((RETRIED, name.encode()),)
    if parse(name)[0] == INBOX:
        key, partition = _home_of_command(settings, name, value)
        output = Output(INBOX, partition, key, value, headers)
    else:
        # Where Kafka's default would put it; METER moves it on when a corrected value has another key.
        partition = (murmur2(record.key or b"") & 0x7FFFFFFF) % settings.interaction_partitions
        output = Output(INTERACTIONS, partition, record.key, value, headers)
    producer = new_producer(settings.kafka, "quarterhour-dlq", throwaway=settings.throwaway)
    await producer.start()
    try:
        await produce(producer, [output])
    finally:
        await producer.stop()
    return partition


def _home_of_command(settings: Settings, name: str, value: bytes) -> tuple[bytes, int]:
    """Key and partition of a command; ConfigurationError for anything else, with what is wrong."""
    try:
        fact = decode_inbox(value)
    except InvalidRecord as error:
        raise ConfigurationError(f"{name} is still no command, so it is not put back: {error.detail}") from None
    if not isinstance(fact, Command):
        raise ConfigurationError(f"{name} is no command; what METER says counts once, where it stands (law 3)")
    return fact.workspace.encode(), partition_of(fact.workspace, settings.account_partitions)
