"""Recovery of many open keys from the changelog on a real Kafka: `python -m scripts.bench.recovery BOOTSTRAP`.

As a module it is the measured process: all partitions at once, as in a worker; prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator

from schemas.settings import Settings
from schemas.topics import DEFAULT_PARTITIONS, METER_CHANGELOG
from scripts.bench.keys import batches, event, partition
from streams.durable import collector
from streams.durable.changelog import position_output, recover, state_outputs
from streams.durable.machine import Output
from streams.metering.meter import MeterPartition
from streams.metering.policy import MeterPolicy
from streams.workers.meter import meter_role


def changelog(keys: int) -> Iterator[Output]:
    """What METER would have written for so many keys with one event each."""
    policy = MeterPolicy()
    owned: list[list[int]] = [[] for _ in range(DEFAULT_PARTITIONS)]
    for key in range(keys):
        owned[partition(key, DEFAULT_PARTITIONS)].append(key)
    for number, mine in enumerate(owned):
        machine = MeterPartition(number, policy)
        for batch in batches(event(key, 0) for key in mine):
            machine.step(batch)
            position = batch[-1].offset + 1
            yield from state_outputs(METER_CHANGELOG, number, position, machine.take_changes())
            yield position_output(METER_CHANGELOG, number, position, machine.checkpoint())


async def measure(bootstrap: str) -> dict[str, float]:
    """Recover every partition at once."""
    role = meter_role(Settings(kafka_bootstrap_servers=bootstrap))
    machines = [role.new_machine(number) for number in range(DEFAULT_PARTITIONS)]
    begun, cpu = time.monotonic(), time.process_time()
    await asyncio.gather(*(recover(bootstrap, METER_CHANGELOG, n, machine) for n, machine in enumerate(machines)))
    keys = sum(machine.open_keys for machine in machines if isinstance(machine, MeterPartition))
    return {"seconds": time.monotonic() - begun, "cpu_seconds": time.process_time() - cpu, "keys": keys}


def main() -> None:
    """Measure once."""
    collector.calm()
    print(json.dumps(asyncio.run(measure(sys.argv[1]))))


if __name__ == "__main__":
    main()
