"""A key with very many events: sealed in chunks, each a changelog record of its own, written once (U7, laws 2, 6)."""

from __future__ import annotations

import random

import pytest

from streams.durable.machine import Output, RawRecord
from streams.metering import history, keys, meter
from streams.metering.history import EVENTS_A_CHUNK
from streams.metering.keys import CorruptState
from streams.metering.meter import MeterPartition
from streams.metering.policy import MeterPolicy
from tests.metering.building import DAY, HOUR, MINUTE, SECOND, T0, canonical, net, record, tick, units, value
from tests.metering.recount import Message, recount

POLICY = MeterPolicy(interaction_partitions=1, account_partitions=1)
Changelog = dict[bytes, bytes]


def records(contents: list[bytes]) -> list[RawRecord]:
    return [record(offset, content) for offset, content in enumerate(contents)]


def talk(events: int, every_us: int, disorder: random.Random | None = None) -> list[bytes]:
    """One user who never stops; with disorder some come late or twice, as far apart as they may."""
    times = [(T0 + n * every_us, n) for n in range(events)]
    if disorder is None:
        return [value(time, str(n)) for time, n in times]
    chosen = random.Random(disorder.random())
    arrivals = [(time + disorder.choice((0, 0, 0, MINUTE, 20 * MINUTE, DAY)), time, n) for time, n in times]
    arrivals += [(time + chosen.randrange(DAY), time, n) for time, n in times if chosen.random() < 0.2]
    return [value(time, str(n)) for _, time, n in sorted(arrivals)]


def keep(changelog: Changelog, machine: MeterPartition) -> int:
    """Take the changes into a compacted changelog; how many bytes were written."""
    written = 0
    for key, content in machine.take_changes():
        written += len(key) + len(content or b"")
        if content is None:
            changelog.pop(key, None)
        else:
            changelog[key] = content
    return written


def restored(changelog: Changelog, checkpoint: bytes | None) -> MeterPartition:
    machine = MeterPartition(0, POLICY)
    for key, content in changelog.items():
        machine.restore(key, content)
    machine.restored(checkpoint)
    return machine


def run_with_restarts(given: list[RawRecord], chance: random.Random) -> tuple[list[Output], Changelog]:
    """The records in batches of any size, now and then on a machine that knows the changelog only."""
    outputs: list[Output] = []
    changelog: Changelog = {}
    machine = MeterPartition(0, POLICY)
    while given:
        cut = chance.choice((1, 7, 100, 1_000))
        outputs += machine.step(given[:cut])
        given = given[cut:]
        keep(changelog, machine)
        if chance.random() < 0.5:
            machine = restored(changelog, machine.checkpoint())
    return outputs, changelog


def chunks(changelog: Changelog) -> list[bytes]:
    return [key for key in changelog if b"\x00" in key]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("searched", [0, 2, history.SEARCHED_CHUNKS])
def test_any_cut_and_restart_of_a_heavy_key_gives_the_same_bytes_and_the_recount(
    seed: int, searched: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(history, "SEARCHED_CHUNKS", searched)
    monkeypatch.setattr(meter, "EVENTS_A_CHUNK", chance.choice((2, 5, 16)))
    monkeypatch.setattr(keys, "WARM_KEYS", chance.choice((1, 4096)))
    every_us = chance.choice((MINUTE, 14 * MINUTE, 16 * MINUTE))
    given = records([*talk(300, every_us, chance), tick(T0 + 300 * every_us + 3 * DAY)])
    whole = MeterPartition(0, POLICY)
    outputs = whole.step(given)
    assert net(units(outputs)) == recount(Message("u", T0 + n * every_us) for n in range(300))
    assert whole.outcomes.repeated == len(given) - 1 - 300
    cut, changelog = run_with_restarts(given, chance)
    assert canonical(cut) == canonical(outputs)
    assert changelog == {}, "chunks end with what they hold"


def test_a_heavy_key_costs_no_more_changelog_an_event_than_a_light_one() -> None:
    machine = MeterPartition(0, POLICY)
    changelog: Changelog = {}
    written = []
    given = records(talk(20_000, 3 * SECOND))
    for first in range(0, len(given), 100):
        machine.step(given[first : first + 100])
        written.append(keep(changelog, machine))
    assert max(written[-50:]) <= max(written[:50]) + 4_000, "the windows of a day at most, never its events"
    assert len(chunks(changelog)) == 20_000 // EVENTS_A_CHUNK


def test_u7_a_repeat_is_found_wherever_the_first_one_is_kept() -> None:
    contents = talk(EVENTS_A_CHUNK * (history.SEARCHED_CHUNKS + 4), 30 * SECOND)
    machine = MeterPartition(0, POLICY)
    machine.step(records(contents))
    again = [record(len(contents) + n, content) for n, content in enumerate(contents)]
    assert machine.step(again) == []
    assert machine.outcomes.repeated == len(contents)
    changelog: Changelog = {}
    keep(changelog, machine)
    assert restored(changelog, machine.checkpoint()).step(again) == []


def test_a_chunk_ends_when_its_newest_event_is_older_than_the_lateness() -> None:
    machine = MeterPartition(0, POLICY)
    changelog: Changelog = {}
    machine.step(records(talk(EVENTS_A_CHUNK * 10, 15 * MINUTE)))  # 160 hours
    keep(changelog, machine)
    a_day = DAY // (15 * MINUTE)
    assert len(chunks(changelog)) <= a_day // EVENTS_A_CHUNK + 2


def test_a_chunk_that_no_key_names_goes_and_one_that_is_missing_stops_the_partition() -> None:
    machine = MeterPartition(0, POLICY)
    changelog: Changelog = {}
    machine.step(records(talk(EVENTS_A_CHUNK * 3, SECOND)))
    keep(changelog, machine)
    first = sorted(chunks(changelog))[0]
    orphans = {first + b"7": changelog[first], b"live/acme/helper/web/gone\x000": changelog[first]}
    machine = restored({**changelog, **orphans}, machine.checkpoint())
    assert dict(machine.take_changes()) == dict.fromkeys(orphans)
    assert machine.open_keys == 1
    del changelog[first]
    with pytest.raises(CorruptState, match="chunk 0"):
        restored(changelog, machine.checkpoint())


def test_a_stale_key_written_again_by_a_paused_worker_is_dropped_with_its_chunks() -> None:
    machine = MeterPartition(0, POLICY)
    changelog: Changelog = {}
    machine.step(records(talk(EVENTS_A_CHUNK * 2, SECOND)))
    keep(changelog, machine)
    stale = dict(changelog)
    machine.step([record(9_999, tick(T0 + DAY + 2 * HOUR))])
    keep(changelog, machine)
    assert changelog == {}
    machine = restored(stale, machine.checkpoint())
    assert machine.open_keys == 0
    assert dict(machine.take_changes()) == dict.fromkeys(stale)
