"""The live clock: a tick in every partition of `interactions`, once a second: `python -m streams.workers.clock`.

Ticks move the watermark of idle partitions, so that units close and credits lapse where nothing happens. Time enters
the pipeline as these records only, so a second reading of the log sees the same instants. In a replay the replayer is
the clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time

import msgspec

from schemas.errors import ConfigurationError
from schemas.instants import text_of
from schemas.interactions import TICK
from schemas.settings import Settings
from schemas.topics import INTERACTIONS
from streams.durable.machine import Output
from streams.durable.producer import new_producer, produce

INTERVAL_SECONDS = 1.0


def tick_outputs(now_us: int, partitions: int) -> list[Output]:
    """One tick for each partition."""
    event = {"specversion": "1.0", "id": str(now_us), "source": "/clock", "type": TICK, "time": text_of(now_us)}
    value = msgspec.json.encode(event)
    return [Output(INTERACTIONS, partition, None, value) for partition in range(partitions)]


async def tick_for_ever(settings: Settings) -> None:
    """Publish ticks until SIGTERM or SIGINT; raises what the broker refuses."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    producer = new_producer(
        settings.kafka_bootstrap_servers, f"quarterhour-clock-{os.getpid()}", throwaway=settings.throwaway
    )
    await producer.start()
    try:
        while not stop.is_set():
            await produce(producer, tick_outputs(time.time_ns() // 1000, settings.interaction_partitions))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), INTERVAL_SECONDS)
    finally:
        await producer.stop()


def main() -> None:
    """Run the clock."""
    settings = Settings()
    if not settings.kafka_bootstrap_servers:
        raise ConfigurationError("KAFKA_BOOTSTRAP_SERVERS is not set: name the Kafka to use, e.g. 127.0.0.1:9092")
    asyncio.run(tick_for_ever(settings))


if __name__ == "__main__":
    main()
