"""Sampled records are followed, and nothing else differs: values, keys, order, state and position (laws 2 and 3)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalog import DEFAULT_CATALOG, load_catalog
from schemas.settings import Settings
from schemas.topics import INBOX, INTERACTIONS
from schemas.traces import TraceContext, of_headers
from schemas.tracing import Tracer
from streams.accounts.partition import AccountsPartition
from streams.accounts.policy import policy_of
from streams.durable.following import MOST_A_BATCH, Following
from streams.durable.machine import Output, PartitionMachine, RawRecord
from streams.metering.meter import MeterPartition
from streams.metering.policy import MeterPolicy
from tests.durable.fakes import TOPIC, FakeWorld, SumMachine
from tests.end_to_end.logs import months_of_talk
from tests.end_to_end.pipeline import log_of, steps_of

GIVEN = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
POLICY = MeterPolicy()


class Told(Tracer):
    """Keeps what it is told."""

    def __init__(self, process: str = "meter") -> None:
        self.process = process
        self.spans: list[tuple[str, TraceContext, TraceContext | None]] = []

    def span(self, name: str, own: TraceContext, parent: TraceContext | None, *_: object) -> None:
        self.spans.append((name, own, parent))


def interactions() -> list[RawRecord]:
    """What one partition of `interactions` gets of a log that closes and corrects units too."""
    outputs = [o for o in steps_of(log_of(months_of_talk(11)[:400]), Settings()) if o.partition == 0]
    far_ms = 2_000_000_000_000
    return [RawRecord(offset, far_ms, o.key, o.value, o.headers) for offset, o in enumerate(outputs)]


RECORDS = interactions()


def sampled(records: Sequence[RawRecord], which: frozenset[int]) -> list[RawRecord]:
    """The records, those at these places with a context."""
    return [
        RawRecord(r.offset, r.timestamp_ms, r.key, r.value, (*r.headers, GIVEN.header)) if n in which else r
        for n, r in enumerate(records)
    ]


def meter() -> PartitionMachine:
    return MeterPartition(0, POLICY)


def accounts() -> PartitionMachine:
    return AccountsPartition(0, policy_of(load_catalog(DEFAULT_CATALOG)))


INBOX_RECORDS = [
    RawRecord(offset, 0, output.key, output.value)
    for offset, output in enumerate(o for o in meter().step(RECORDS) if (o.topic, o.partition) == (INBOX, 0))
]


def bare(outputs: Sequence[Output]) -> list[tuple[object, ...]]:
    """Outputs without the header."""
    return [(o.topic, o.partition, o.key, o.value, [h for h in o.headers if h[0] != "traceparent"]) for o in outputs]


@pytest.mark.parametrize(
    ("make", "topic", "records"), [(meter, INTERACTIONS, RECORDS), (accounts, INBOX, INBOX_RECORDS)]
)
@given(which=st.frozensets(st.integers(0, 250), max_size=150))
def test_law_2_whatever_is_sampled_outputs_state_and_checkpoint_are_the_same(
    make: object, topic: str, records: list[RawRecord], which: frozenset[int]
) -> None:
    assert callable(make)
    plain, followed, following = make(), make(), Following(Told(), topic, 0)
    records = records[:250]
    expected = plain.step(records)
    found = following.step(followed, sampled(records, which))
    assert bare(found) == bare(expected)
    assert list(followed.take_changes()) == list(plain.take_changes())
    assert followed.checkpoint() == plain.checkpoint()
    assert followed.outcome_counts() == plain.outcome_counts()


def test_the_sampled_places_are_within_the_records() -> None:
    print(len(RECORDS), len(INBOX_RECORDS))
    assert min(len(RECORDS), len(INBOX_RECORDS)) > 100


def test_what_a_sampled_record_led_to_carries_the_span_of_its_step_and_nothing_else_does() -> None:
    tracer = Told()
    following = Following(tracer, TOPIC, 3)
    records = [RawRecord(n, 0, b"a", b"1") for n in range(4)]
    outputs = following.step(SumMachine(), sampled(records, frozenset({2})))
    own = GIVEN.step(TOPIC, 3, 2, "meter")
    assert [of_headers(output.headers) for output in outputs] == [None, None, own, None]
    following.landed(2)
    assert tracer.spans == []
    following.landed(3)
    following.landed(4)
    assert tracer.spans == [("meter input", own, GIVEN)]


def test_of_a_batch_that_is_sampled_whole_only_so_many_are_followed() -> None:
    following = Following(tracer := Told(), TOPIC, 0)
    records = [RawRecord(n, 0, b"a", b"1") for n in range(MOST_A_BATCH + 50)]
    outputs = following.step(SumMachine(), sampled(records, frozenset(range(len(records)))))
    following.landed(len(records))
    assert sum(bool(output.headers) for output in outputs) == len(tracer.spans) == MOST_A_BATCH
    assert len(outputs) == len(records)


async def test_spans_are_told_once_their_batch_is_durable_and_a_repeat_writes_the_same_headers() -> None:
    world = FakeWorld()
    world.tracer = Told()
    world.publish(1, 2, 3)
    world.log.topics[TOPIC] = [
        type(r)(r.offset, r.key, r.value, (GIVEN.header,) if n == 1 else ())
        for n, r in enumerate(world.log.topics[TOPIC])
    ]
    for _ in range(2):  # the second finds no state and does it all again
        actor = world.actor()
        task = world.run(actor)
        await world.settle()
        await actor.feed(world.log.input())
        await world.settle()
        actor.stop()
        await task
        world.log.topics.pop("state")
    outputs = world.log.records("output")
    assert [of_headers(r.headers) for r in outputs] == 2 * [None, GIVEN.step(TOPIC, 0, 1, "meter"), None]
    assert len(set(world.tracer.spans)) == 1 < len(world.tracer.spans)
    await world.close()
