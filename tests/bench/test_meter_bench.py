"""The benchmark's events are the ones it speaks of, and its report holds the figures it promises."""

from __future__ import annotations

import json
from dataclasses import fields
from itertools import pairwise

import pytest

from schemas.interactions import TICK, InteractionEvent, decode
from schemas.routing import partition_of
from scripts.bench.breakdown import breakdown
from scripts.bench.keys import batches, event, opened, partition
from scripts.bench.meter import MeterBench, as_json
from scripts.bench.recovery import changelog
from scripts.bench.workload import EVENTS_A_CONVERSATION, Load, records
from streams.durable.machine import RawRecord
from streams.metering.meter import MeterPartition
from streams.metering.policy import MeterPolicy


@pytest.mark.parametrize("events", [1, 13, 14, 15, 1_000])
def test_as_many_events_as_asked_for_in_order_each_in_its_partition(events: int) -> None:
    load = Load(events=events, hours=0.1, users=10)
    found = [(place, key, decode(value), value) for place, key, value in records(load)]
    messages = [entry for entry in found if entry[2].type != TICK]
    assert len(messages) == events
    assert all(before[2].time_us <= after[2].time_us for before, after in pairwise(found))
    assert all(key is not None and partition_of(key.decode(), 4) == place for place, key, _, _ in messages)
    assert all(InteractionEvent.of_record(value) for *_, value in found)


def test_an_event_has_about_285_bytes_and_fourteen_make_a_conversation_that_closes() -> None:
    load = Load(events=14_000, hours=0.2, users=100_000)
    made = list(records(load))
    sizes = [len(value) for _, key, value in made if key is not None]
    assert 275 <= sum(sizes) / len(sizes) <= 295
    machines = [MeterPartition(number, MeterPolicy()) for number in range(4)]
    for offset, (place, key, value) in enumerate(made):
        machines[place].step([RawRecord(offset, 1_900_000_000_000, key, value)])
    opened_units = sum(machine.outcomes.opened for machine in machines)
    assert 980 <= opened_units <= 1_000, f"{EVENTS_A_CONVERSATION} events each, but for users who come twice"
    assert sum(machine.open_keys for machine in machines) == 0


def test_open_keys_are_as_many_as_asked_for_and_their_changelog_restores_them() -> None:
    assert opened(300, 2).open_keys == 300
    found = [decode(record.value) for batch in batches(event(key, 0) for key in range(20)) for record in batch]
    assert len({one.user for one in found}) == 20
    assert {output.partition for output in changelog(40)} == {partition(key, 4) for key in range(40)}


def test_the_report_is_one_line_of_json_with_the_six_figures() -> None:
    line = as_json(MeterBench(1.0, 2.0, 3.0, 4.0, 5.0, 6.0))
    assert "\n" not in line
    assert list(json.loads(line)) == [
        "cpu_s_per_million", "floor_cpu_s_per_million", "idiomatic_faust_cpu_s_per_million", "events_per_second",
        "bytes_per_open_key", "recovery_seconds_1m_keys", "details",
    ]  # fmt: skip
    assert len(fields(MeterBench)) == 7


def test_the_breakdown_names_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.bench.breakdown.EVENTS", 2_000)
    found = breakdown(Load())
    assert found["step"] > found["of_step_identity"] > 0
    assert any("step" in entry["function"] for entry in found["profile"])
