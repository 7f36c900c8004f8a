"""Where the core's time goes: CPU microseconds an event, of the parts alone and of the whole; and a profile."""

from __future__ import annotations

import cProfile
import pstats
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from schemas.interactions import Event, read
from scripts.bench.workload import Load, records
from streams.durable.machine import RawRecord
from streams.metering.history import identity_of
from streams.metering.meter import MeterPartition
from streams.metering.policy import MeterPolicy

EVENTS = 140_000
BATCH = 5_000
_APPEND_MS = 1_900_000_000_000


def breakdown(load: Load) -> dict[str, Any]:
    """The core's parts under a load as dense as `load`, on one of its partitions."""
    some = replace(load, events=EVENTS, users=max(1, EVENTS // 20), hours=load.hours * EVENTS / load.events)
    mine = [record for record in records(some) if record[0] == 0]
    given = [RawRecord(offset, _APPEND_MS, key, value) for offset, (_, key, value) in enumerate(mine)]
    events = [read(record.value)[0] for record in given]
    count = sum(event.data is not None for event in events)
    step, changes, outputs, changed = _core(given)
    return {
        "step": _each(step, count), "take_changes": _each(changes, count),
        "of_step_msgspec_decode": _each(_best(lambda: _decode_all(given)), count),
        "of_step_decode_and_checks": _each(_best(lambda: [read(record.value) for record in given]), count),
        "of_step_identity": _each(_best(lambda: [identity_of(event.source, event.id) for event in events]), count),
        "outputs_an_event": round(outputs / count, 3), "changelog_records_an_event": round(changed / count, 3),
        "profile": _profile(given),
    }  # fmt: skip


def _decode_all(given: list[RawRecord]) -> None:
    decode = msgspec.json.Decoder(Event).decode
    for record in given:
        decode(record.value or b"")


def _core(given: list[RawRecord]) -> tuple[float, float, int, int]:
    """CPU seconds of `step` and of `take_changes`, each batch at its best of three; outputs and changelog records."""
    machines = [MeterPartition(0, MeterPolicy()) for _ in range(3)]
    total = [0.0, 0.0]
    outputs = changed = 0
    for first in range(0, len(given), BATCH):
        batch, best = given[first : first + BATCH], [1e9, 1e9]
        for machine in machines:
            begun = time.process_time()
            put_out = machine.step(batch)
            between = time.process_time()
            changes = list(machine.take_changes())
            best = [min(best[0], between - begun), min(best[1], time.process_time() - between)]
        outputs += len(put_out)
        changed += len(changes)
        total = [total[0] + best[0], total[1] + best[1]]
    return total[0], total[1], outputs, changed


def _best(work: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return min(times)


def _each(seconds: float, count: int) -> float:
    return round(seconds / count * 1e6, 2)


def _profile(given: list[RawRecord]) -> list[dict[str, Any]]:
    """The functions with the most time of their own; under the profiler calls weigh more than they do."""
    machine, profile = MeterPartition(0, MeterPolicy()), cProfile.Profile()
    profile.enable()
    for first in range(0, len(given), BATCH):
        machine.step(given[first : first + BATCH])
        machine.take_changes()
    profile.disable()
    stats: dict[tuple[str, int, str], Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    whole = sum(found[2] for found in stats.values())
    most = sorted(stats.items(), key=lambda entry: -entry[1][2])[:12]
    return [
        {
            "function": f"{where[0].rsplit('/', 1)[-1]}:{where[2]}",
            "calls": found[1],
            "share": round(found[2] / whole, 3),
        }
        for where, found in most
    ]
