"""Streams of every sort of event against the batch recount: what counts, what closes with what, what disorder costs.

The recount shares nothing with METER; what it does not know (who is an agent, what is a notification) is told here.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import NamedTuple

from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.commands import decode_inbox
from schemas.topics import INBOX, LATE
from schemas.units import Unit, Watermark
from streams.durable.machine import Output, RawRecord
from streams.metering.meter import MeterPartition
from streams.metering.policy import MeterPolicy
from tests.metering.building import DAY, HOUR, MINUTE, SECOND, T0, net, newest, record, tick, units, value
from tests.metering.recount import Message, recount

POLICY = MeterPolicy(interaction_partitions=1, account_partitions=1)


class Happening(NamedTuple):
    """One event of any sort."""

    user: str
    time_us: int
    inbound: bool
    environment: str
    actor: str
    sort: str

    @property
    def is_activity(self) -> bool:
        """U12: not while a person holds the app's side; U9: an alert goes to an owner."""
        return self.actor == "app" and self.sort != "alert"

    def content(self, number: int) -> bytes:
        return value(
            self.time_us, str(number), self.user, direction="inbound" if self.inbound else "outbound",
            environment=self.environment, actor=self.actor, type=f"quarterhour.{self.sort}.v1",
        )  # fmt: skip

    def message(self) -> Message:
        """What the recount is told: the user's key holds the environment (U3), an app's notification is outbound."""
        spoken = self.inbound and self.sort == "message"
        return Message(f"{self.environment}:{self.user}", self.time_us, spoken, self.environment == "live")


_HAPPENINGS = st.lists(
    st.builds(
        Happening,
        st.sampled_from("ab"),
        st.integers(0, 60).map(lambda n: T0 - HOUR + n * 225 * SECOND + (n % 3 - 1) * 1000),
        st.booleans(),
        st.sampled_from(["live", "live", "live", "developer", "test"]),
        st.sampled_from(["app", "app", "app", "human_agent"]),
        st.sampled_from(["message", "message", "message", "notification", "alert"]),
    ),
    max_size=50,
)


@settings(max_examples=250, deadline=None)
@given(happenings=_HAPPENINGS, seed=st.integers(0, 2**32), repeats=st.integers(0, 10))
def test_every_sort_of_event_in_any_order_is_counted_as_the_recount_has_it_and_all_outcomes_add_up(
    happenings: list[Happening], seed: int, repeats: int
) -> None:
    chance = random.Random(seed)
    contents = [happening.content(number) for number, happening in enumerate(happenings)]
    contents += chance.choices(contents, k=repeats) if contents else []
    chance.shuffle(contents)
    meter = MeterPartition(0, POLICY)
    changes = units(meter.step([record(offset, content) for offset, content in enumerate(contents)]))

    expected: Counter[tuple[str, str, int, bool]] = Counter()
    for (key, kind, day, billable), count in recount(h.message() for h in happenings if h.is_activity).items():
        expected[key.partition(":")[2], kind, day, billable] += count
    for happening in happenings:
        if happening.actor == "app" and happening.sort != "message":
            expected[happening.user, happening.sort, happening.time_us // DAY, happening.environment == "live"] += 1
    assert net(changes) == expected
    counts = meter.outcome_counts()
    assert sum(counts.values()) == len(contents)
    assert counts["repeated"] == len(contents) - len(happenings)
    assert counts["unbilled_human_agent"] == sum(h.actor == "human_agent" for h in happenings)


Closing = tuple[str, str, int, int, int, int]


def closings_of(changes: list[Unit]) -> Counter[Closing]:
    """Kind, user, start, last activity, inbound and outbound of every unit that closed."""
    closed = [unit for unit in changes if unit.change == "closed"]
    return Counter((u.kind, u.user, u.start_us, u.last_us or 0, u.inbound or 0, u.outbound or 0) for u in closed)


def swept(messages: list[Message]) -> Counter[Closing]:
    """The same by sort and sweep."""
    found: Counter[Closing] = Counter()
    for user in {message.key for message in messages}:
        mine = sorted(message for message in messages if message.key == user)
        for kind in ("conversation", "session"):
            held: list[list[Message]] = []
            for message in mine:
                since = held[-1][-1 if kind == "conversation" else 0].time_us if held else 0
                if held and message.time_us - since < 15 * MINUTE + (kind == "conversation"):
                    held[-1].append(message)
                else:
                    held.append([message])
            for unit in held:
                spoken = sum(message.inbound for message in unit)
                found[kind, user, unit[0].time_us, unit[-1].time_us, spoken, len(unit) - spoken] += 1
    return found


_TALK = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 90).map(lambda n: T0 + n * 150 * SECOND + n % 2), st.booleans()),
    max_size=50,
)


@settings(max_examples=200, deadline=None)
@given(talk=_TALK, seed=st.integers(0, 2**32))
@example(talk=[("a", T0, True), ("a", T0 + 15 * MINUTE, False), ("a", T0 + 30 * MINUTE + 1, True)], seed=0)
def test_u11_each_unit_closes_once_with_its_duration_and_its_messages_a_direction(
    talk: list[tuple[str, int, bool]], seed: int
) -> None:
    contents = [
        value(time, str(n), user, direction="inbound" if inbound else "outbound")
        for n, (user, time, inbound) in enumerate(talk)
    ]
    random.Random(seed).shuffle(contents)
    contents.append(tick(T0 + 3 * DAY))
    meter = MeterPartition(0, POLICY)
    outputs = meter.step([record(offset, content) for offset, content in enumerate(contents)])
    assert closings_of(units(outputs)) == swept([Message(*event) for event in talk])
    assert meter.open_keys == 0


@settings(max_examples=100, deadline=None)
@given(gaps=st.lists(st.integers(1, 14 * 60), min_size=4, max_size=60), swaps=st.sets(st.integers(0, 58)))
def test_u5_messages_swapped_by_milliseconds_cost_a_revision_each_at_most_and_no_opposite_entry(
    gaps: list[int], swaps: set[int]
) -> None:
    times = [T0]
    for gap in gaps:
        times += [times[-1] + gap * SECOND, times[-1] + gap * SECOND + 2000]  # two messages, 2 ms apart
    straight = [value(time, str(n)) for n, time in enumerate(times)]
    swapped = list(straight)
    for at in swaps:
        if 2 * at + 2 < len(swapped):
            swapped[2 * at + 1], swapped[2 * at + 2] = swapped[2 * at + 2], swapped[2 * at + 1]
    found = units(_run(swapped))
    changes = Counter(unit.change for unit in found)
    assert changes["retracted"] == 0
    assert net(found) == net(units(_run(straight)))
    assert changes["revised"] <= len(swaps), "a session that began with the later of two moves its start"


def _run(contents: list[bytes], meter: MeterPartition | None = None, first: int = 0) -> list[Output]:
    records: list[RawRecord] = [record(first + n, content) for n, content in enumerate(contents)]
    return (meter or MeterPartition(0, POLICY)).step(records)


def restarted(meter: MeterPartition) -> MeterPartition:
    """The machine as a new process has it, from what it made durable since it was new."""
    again = MeterPartition(meter.partition, meter.policy)
    for key, content in meter.take_changes():
        if content is not None:
            again.restore(key, content)
    again.restored(meter.checkpoint())
    return again


def test_u6_u11_an_idle_partition_is_moved_on_by_ticks_alone_and_a_restart_goes_on_where_its_watermark_was() -> None:
    idle = MeterPartition(0, POLICY)
    marks = [decode_inbox(output.value) for output in _run([tick(T0 + DAY)], idle) if output.topic == INBOX]
    assert [(m.now_us, m.complete_us) for m in marks if isinstance(m, Watermark)] == [(T0 + DAY, T0)]
    again = restarted(idle)
    assert again.watermark_us == T0 + DAY
    assert [output.topic for output in _run([value(T0 - 1, "old")], again, 1)] == [LATE]

    meter = MeterPartition(0, POLICY)
    _run([value(T0, "a")], meter)
    later = restarted(meter)
    assert later.watermark_us == T0
    outputs = _run([tick(T0 + DAY + HOUR), value(T0 + HOUR - 1, "late"), value(T0 + HOUR, "in time")], later, 1)
    assert [unit.change for unit in units(outputs)] == ["closed", "closed", "opened", "opened"]
    assert [output.topic for output in outputs].count(LATE) == 1
    held = newest(units(_run([value(T0, "a")])) + units(outputs)).values()
    assert Counter(unit.change for unit in held) == {"closed": 2, "opened": 2}
