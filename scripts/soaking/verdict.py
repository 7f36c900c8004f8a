"""What came out, held against what went in: a batch recount, an undisturbed run, and the origins of every output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from schemas.commands import decode_inbox
from schemas.settings import Settings
from schemas.topics import INBOX, INTERACTIONS, LATE, REJECTED
from schemas.units import Unit, Watermark
from scripts.soaking.load import Sent
from streams.durable.machine import Output
from streams.durable.reader import PartitionReader
from streams.workers.meter import meter_role
from tests.metering.recount import DAY_US, Message, recount

Counts = Counter[tuple[str, str, int, bool]]
_STEP = 5_000


class _Origin(msgspec.Struct, frozen=True):
    partition: int
    offset: int
    index: int


class _Named(msgspec.Struct):
    origin: _Origin


_origin = msgspec.json.Decoder(_Named).decode


@dataclass
class Outputs:
    """METER's outputs with repeats dropped by origin (law 3), and how many of those there were."""

    by_origin: dict[tuple[int, int, int], tuple[str, int, bytes]] = field(default_factory=dict)
    repeats: int = 0
    conflicts: list[str] = field(default_factory=list)

    def take(self, topic: str, partition: int, value: bytes) -> None:
        """One output as it was found in its topic."""
        named = _origin(value).origin
        origin = (named.partition, named.offset, named.index)
        content = (topic, partition, value)
        held = self.by_origin.setdefault(origin, content)
        if held is not content:
            self.repeats += 1
            if held != content:
                self.conflicts.append(f"{origin}: {held} and {content}")


@dataclass(frozen=True)
class Verdict:
    """All that must be zero or equal, and all that tells how much happened."""

    input_records: int
    events: int
    outputs: int
    outputs_repeated: int
    conflicting_outputs: int
    outputs_missing: int
    """Outputs of an undisturbed run over the same input that are not there."""
    outputs_extra: int
    units: int
    units_missing: int
    units_extra: int
    messages_in_closed_conversations: int
    messages_in_closed_sessions: int
    units_not_closed: int
    outcomes: dict[str, int]
    examples: tuple[str, ...]

    def faults(self, repeats_sent: int | None = None, ticks: int = 0) -> list[str]:
        """What is wrong, in words; empty when all is exact."""
        counted = sum(self.outcomes.values())
        metered = self.outcomes.get("opened", 0) + self.outcomes.get("joined", 0)
        repeated = self.outcomes.get("repeated", 0)
        claims = {
            f"{self.conflicting_outputs} outputs of one origin differ": self.conflicting_outputs == 0,
            f"{self.outputs_missing} outputs are missing": self.outputs_missing == 0,
            f"{self.outputs_extra} outputs are extra": self.outputs_extra == 0,
            f"{self.units_missing} units are missing": self.units_missing == 0,
            f"{self.units_extra} units are extra": self.units_extra == 0,
            f"{self.units_not_closed} units are not closed": self.units_not_closed == 0,
            f"outcomes count {counted} of {self.input_records} records": counted == self.input_records,
            f"{metered} of {self.events} events are in units": metered == self.events,
            f"{repeated} repeats found of {repeats_sent} sent": repeats_sent is None or repeated == repeats_sent,
            "conversations' messages differ": self.messages_in_closed_conversations == self.events,
            "sessions' messages differ": self.messages_in_closed_sessions == self.events,
        }
        return [claim for claim, holds in claims.items() if not holds] + list(self.examples)


async def judge(settings: Settings, sent: Iterable[Sent]) -> Verdict:
    """Read everything back and compare; everything must be drained, and closed by a final tick."""
    found = await read_outputs(settings)
    records, expected = await undisturbed(settings)
    units = [decode_inbox(value) for topic, _, value in found.by_origin.values() if topic == INBOX]
    changes = [unit for unit in units if isinstance(unit, Unit)]
    marks = [mark for mark in units if isinstance(mark, Watermark)]
    messages = [Message(event.user, event.time_us, event.inbound) for event in sent]
    counted, wanted = net(changes), recount(messages)
    missing, extra = wanted - counted, counted - wanted
    closed = {unit.unit_id: unit for unit in changes if unit.change == "closed"}
    open_units = {u.unit_id for u in changes} - {u.unit_id for u in changes if u.change in ("closed", "retracted")}
    lost = [origin for origin in expected.by_origin if origin not in found.by_origin]
    odd = [origin for origin, content in found.by_origin.items() if expected.by_origin.get(origin) != content]
    return Verdict(
        records, len(messages), len(found.by_origin), found.repeats, len(found.conflicts), len(lost), len(odd),
        wanted.total(), missing.total(), extra.total(), _messages(closed, "conversation"), _messages(closed, "session"),
        len(open_units), _outcomes(marks),
        (*found.conflicts[:3], *(f"missing {o}" for o in lost[:3]), *(f"odd {o}" for o in odd[:3]),
         *map(str, [*missing.items()][:3]), *map(str, [*extra.items()][:3])),
    )  # fmt: skip


async def read_outputs(settings: Settings) -> Outputs:
    """Everything METER put out, from its topics, repeats dropped by origin."""
    outputs = Outputs()
    partitions = {INBOX: settings.account_partitions}
    partitions |= dict.fromkeys((REJECTED, LATE), settings.interaction_partitions)
    for topic, count in partitions.items():
        for partition in range(count):
            async with PartitionReader(settings.kafka, topic, partition) as reader:
                async for records in reader.read(await reader.beginning(), await reader.end()):
                    for record in records:
                        outputs.take(topic, partition, record.value or b"")
    return outputs


async def undisturbed(settings: Settings) -> tuple[int, Outputs]:
    """How many records the input has, and the outputs of one undisturbed run over it (law 2)."""
    outputs = Outputs()
    count = 0
    role = meter_role(settings)
    for partition in range(settings.interaction_partitions):
        machine = role.new_machine(partition)
        async with PartitionReader(settings.kafka, INTERACTIONS, partition) as reader:
            async for records in reader.read(await reader.beginning(), await reader.end()):
                count += len(records)
                for first in range(0, len(records), _STEP):
                    for output in machine.step(records[first : first + _STEP]):
                        _take_own(outputs, output)
                    list(machine.take_changes())
    return count, outputs


def _take_own(outputs: Outputs, output: Output) -> None:
    if output.topic != INTERACTIONS:
        assert output.value is not None
        outputs.take(output.topic, output.partition, output.value)


def net(changes: Iterable[Unit]) -> Counts:
    """Net units by (user, kind, UTC day, billable), from the deltas alone."""
    total: Counter[tuple[str, str, int]] = Counter()
    billable: Counter[tuple[str, str, int]] = Counter()
    for unit in changes:
        where: tuple[str, str, int] = (unit.user, unit.kind, unit.start_us // DAY_US)
        total[where] += unit.delta
        billable[where] += unit.billable_delta
    counts: Counts = Counter()
    for where, number in total.items():
        counts[(*where, True)] = billable[where]
        counts[(*where, False)] = number - billable[where]
    return Counter({where: number for where, number in counts.items() if number})


def _messages(closed: dict[str, Unit], kind: str) -> int:
    return sum((unit.inbound or 0) + (unit.outbound or 0) for unit in closed.values() if unit.kind == kind)


def _outcomes(marks: Iterable[Watermark]) -> dict[str, int]:
    """The outcomes of the newest watermark of each partition, summed."""
    newest: dict[int, Watermark] = {}
    for mark in marks:
        partition = mark.origin.partition
        held = newest.get(partition)
        if held is None or mark.origin.offset > held.origin.offset:
            newest[partition] = mark
    total: Counter[str] = Counter()
    for mark in newest.values():
        total.update(mark.outcomes)
    return dict(total)
