"""The live clock: a tick into every partition of `interactions`, once a second: `python -m streams.workers.clock`.

Ticks move the watermark of idle partitions, so that units close and credits lapse where nothing happens. Time enters
the pipeline as these records only, so a second reading of the log sees the same instants. In a replay the replayer is
the clock.

Any number of clocks may run; one ticks (`lease`), the others stand by. A tick that is published late, by a process
that was paused at the wrong moment, moves nothing: a watermark never goes back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time

import msgspec

from schemas import logs
from schemas.errors import ConfigurationError
from schemas.instants import text_of
from schemas.interactions import TICK
from schemas.settings import Settings
from schemas.topics import INTERACTIONS
from streams.durable.machine import Output
from streams.durable.producer import new_producer, produce
from streams.workers.lease import new_lease

INTERVAL_SECONDS = 1.0


def tick_outputs(now_us: int, partitions: int, clock: str = "") -> list[Output]:
    """One tick for each partition. `clock` says which process ticks."""
    source = f"/clock/{clock}" if clock else "/clock"
    event = {"specversion": "1.0", "id": str(now_us), "source": source, "type": TICK, "time": text_of(now_us)}
    value = msgspec.json.encode(event)
    return [Output(INTERACTIONS, partition, None, value) for partition in range(partitions)]


async def tick_for_ever(settings: Settings) -> None:
    """Publish ticks while elected, until SIGTERM or SIGINT; raises what the broker refuses."""
    name = f"{socket.gethostname()}-{os.getpid()}"
    bootstrap = settings.kafka_bootstrap_servers
    producer = new_producer(bootstrap, f"quarterhour-clock-{name}", throwaway=settings.throwaway)
    await producer.start()
    try:
        async with new_lease(bootstrap, name, settings.session_timeout_seconds) as lease:
            while True:
                now_us = time.time_ns() // 1000
                if await lease.renew(now_us):
                    await produce(producer, tick_outputs(now_us, settings.interaction_partitions, name))
                await lease.wait(INTERVAL_SECONDS)
    finally:
        await producer.stop()


async def _until_stopped(settings: Settings) -> None:
    ticking = asyncio.ensure_future(tick_for_ever(settings))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ticking.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await ticking


def main() -> None:
    """Run the clock."""
    settings = Settings()
    logs.set_up("clock", settings.log_format)
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    if not settings.kafka_bootstrap_servers:
        raise ConfigurationError("KAFKA_BOOTSTRAP_SERVERS is not set: name the Kafka to use, e.g. 127.0.0.1:9092")
    asyncio.run(_until_stopped(settings))


if __name__ == "__main__":
    main()
