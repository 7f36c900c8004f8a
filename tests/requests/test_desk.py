"""The desk: answers belong to contents, what is kept is bounded, old answers are found in the ledger (laws 3, 6)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any, NamedTuple

import pytest

from schemas.ledger import LedgerRecord, encode_ledger
from schemas.replies import NOT_KNOWN, Reply
from streams.requests.desk import Desk, Key, Old
from streams.requests.old import NEAR, find_record
from tests.accounts.story import USD, Story, Teller, create, credit, funds


@pytest.fixture(scope="module")
def story() -> Story:
    """A workspace created, funds added, the same given again, and other content under its id."""
    told = Story()
    told.tell(create("c"), funds(100 * USD, "f"), funds(100 * USD, "f"), funds(200 * USD, "f"))
    return told


def test_an_answer_is_told_to_whoever_gave_that_content_and_to_nobody_else(story: Story) -> None:
    desk = Desk()
    key, other = desk.expect(funds(100 * USD, "f")), desk.expect(funds(200 * USD, "f"))
    assert (desk.answer(key), desk.told("acme", "f", None)) == (None, True)
    assert desk.hear(story.replies[1]) == key
    assert desk.answer(key) == story.ledger[1]
    assert desk.answer(other) is None
    assert desk.hear(story.replies[3]) == other
    assert desk.answer(other) == story.ledger[2]
    assert desk.told("acme", "f", None) == story.ledger[1], "the first stands"


def test_a_repeat_is_looked_up_only_for_whoever_asked(story: Story) -> None:
    desk, repeat = Desk(), story.replies[2]
    assert desk.hear(repeat) is None
    key = desk.expect(funds(100 * USD, "f"))
    assert desk.hear(repeat) == Old(key, repeat.origin.partition, 1)
    desk.settle(key, story.ledger[1])
    assert desk.hear(repeat) is None


def test_a_person_is_told_of_own_commands_only(story: Story) -> None:
    desk = Desk()
    desk.expect(funds(100 * USD, "f"))
    actor = str(story.ledger[1].actor)
    assert desk.told("acme", "f", actor) is True
    assert desk.told("acme", "f", "user:eve") is False, "nor that it is open"
    desk.hear(story.replies[1])
    assert desk.told("acme", "f", actor) == story.ledger[1]
    assert desk.told("acme", "f", "user:eve") is False
    assert desk.told("globex", "f", None) is False


def test_what_is_kept_is_bounded_and_the_oldest_goes_first() -> None:
    """Law 6."""
    desk, story = Desk(kept=3), Story()
    commands = [create("c"), *(credit(1, f"g{n}") for n in range(5))]
    keys = [desk.expect(command) for command in commands]
    assert [desk.told("acme", key.command_id, None) for key in keys] == [False] * 3 + [True] * 3
    story.tell(*commands)
    for reply in story.replies:
        desk.hear(reply)
    assert [desk.answer(key) is not None for key in keys] == [False] * 3 + [True] * 3


class Raw(NamedTuple):
    """A record as the reader gives it."""

    offset: int
    value: bytes


class Topic:
    """A partition in memory, read in small runs; counts what was read."""

    def __init__(self, records: Sequence[LedgerRecord]) -> None:
        self.records = [Raw(offset, encode_ledger(record)) for offset, record in enumerate(records)]
        self.read_records = 0

    async def beginning(self) -> int:
        return 0

    async def end(self) -> int:
        return len(self.records)

    async def read(self, start: int, end: int) -> AsyncIterator[list[Any]]:
        for at in range(start, end, 100):
            run = self.records[at : min(at + 100, end)]
            self.read_records += len(run)
            yield list(run)

    @asynccontextmanager
    async def __call__(self, partition: int) -> AsyncIterator[Topic]:
        assert partition == 3
        yield self


@pytest.fixture(scope="module")
def busy() -> Story:
    """5,000 units, and a command after every hundred."""
    story, teller = Story(), Teller()
    story.tell(create("c"))
    for n in range(5_000):
        story.tell(teller.unit(f"u{n}"))
        if n % 100 == 0:
            story.tell(credit(n + 1, f"g{n}"))
    return story


def old_of(reply: Reply, offset: int | None = None) -> Old:
    """The command of a reply, as one given long ago."""
    key = Key(reply.workspace, reply.command_id, reply.digest)
    return Old(key, 3, reply.decided_offset if offset is None else offset)


async def test_the_record_of_any_old_command_is_found_without_reading_the_ledger(busy: Story) -> None:
    for reply in busy.replies[::5]:
        topic = Topic(busy.ledger)
        assert await find_record(topic, old_of(reply)) == reply.record
        assert topic.read_records < 2 * NEAR + 100 * 20, "a twentieth of a million would be the same"


async def test_of_two_records_of_one_command_id_the_one_at_its_offset_is_found(story: Story) -> None:
    """Law 3: another content under the id was refused later; who gave that is not told what the first led to."""
    first, again = story.replies[1], story.replies[3]
    assert first.record is not None
    assert again.record is not None
    assert (first.record.cause, first.record.kind) == (again.record.cause, "credit_added")
    for reply in (first, again):
        assert await find_record(Topic(story.ledger), old_of(reply)) == reply.record


async def test_it_is_found_when_the_offset_is_not_known_or_old_records_lie_behind_newer_ones(busy: Story) -> None:
    """A version that noted no offset; a restart's repeats; a paused worker's records (law 3)."""
    random = Random(11)
    for reply in random.sample(busy.replies, 8):
        assert await find_record(Topic(busy.ledger), old_of(reply, NOT_KNOWN)) == reply.record
        first = random.randrange(len(busy.ledger) - 1_200)
        late = busy.ledger[first : first + random.randrange(1_200)]
        at = random.randrange(first + len(late), len(busy.ledger) + 1)
        disturbed = [*busy.ledger[:at], *late, *busy.ledger[at:]]
        assert await find_record(Topic(disturbed), old_of(reply)) == reply.record


async def test_what_the_ledger_does_not_hold_is_not_found(busy: Story) -> None:
    strange = Old(Key("acme", "never", "digest"), 3, 77)
    assert await find_record(Topic(busy.ledger), strange) is None
    assert await find_record(Topic([]), strange) is None
