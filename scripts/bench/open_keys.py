"""The pure core with many open keys, in a process of its own: `python -m scripts.bench.open_keys KEYS EVENTS_A_KEY`.

Prints one JSON object: resident memory a key, and CPU microseconds an event with all those keys open: of `talk` (few
users write many events, as in the end-to-end run) and of `scattered` events (each to another one of all the keys).
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator

import psutil

from scripts.bench.keys import BATCH, batches, event, opened
from streams.durable import collector
from streams.durable.machine import RawRecord
from streams.metering.meter import MeterPartition

MEASURED = 100_000
TALKING = 100
REPEATS = 3


def main() -> None:
    """Open the keys, then measure."""
    keys, events_a_key = int(sys.argv[1]), int(sys.argv[2])
    opened(BATCH, 1)  # whatever is loaded or cached on first use
    collector.calm()
    before = psutil.Process().memory_info().rss
    machine = opened(keys, events_a_key)
    memory = psutil.Process().memory_info().rss - before
    chance = random.Random(1)  # noqa: S311 - nothing secret
    offset = keys * events_a_key
    talk = _cost(
        machine, (event(keys + n % TALKING + n // 1400 * TALKING, n % 1400 // TALKING) for n in range(MEASURED)), offset
    )
    scattered = _cost(
        machine, (event(chance.randrange(keys), 100 + n // 1000) for n in range(MEASURED)), offset + MEASURED
    )
    print(json.dumps({
        "keys": keys, "events_a_key": events_a_key, "rss_bytes_a_key": round(memory / keys),
        "talk_us_an_event": round(talk, 2), "scattered_us_an_event": round(scattered, 2),
    }))  # fmt: skip


def _cost(machine: MeterPartition, events: Iterator[bytes], first: int) -> float:
    """The best of the thirds of the run: CPU microseconds an event."""
    given: list[list[RawRecord]] = list(batches(events, first))
    third = len(given) // REPEATS
    best = float("inf")
    for part in range(REPEATS):
        begun = time.process_time()
        for batch in given[part * third : (part + 1) * third]:
            machine.step(batch)
            machine.take_changes()
            machine.checkpoint()
        best = min(best, time.process_time() - begun)
    return best / (third * BATCH) * 1e6


if __name__ == "__main__":
    main()
