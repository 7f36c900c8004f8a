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
from collections.abc import Iterable
from contextlib import ExitStack

import msgspec
from prometheus_client.core import GaugeMetricFamily, Metric

from schemas import logs
from schemas.admission import admitted
from schemas.errors import told_at_start
from schemas.exposing import expose
from schemas.health import Health, watch
from schemas.instants import MICROS_PER_SECOND, text_of
from schemas.interactions import TICK
from schemas.settings import Settings
from schemas.topics import INTERACTIONS
from streams.durable.machine import Output
from streams.durable.producer import new_producer, produce
from streams.workers.lease import new_lease

INTERVAL_SECONDS = 1.0
_NOT_ELECTED = "the group has not said yet which clock ticks"


def tick_outputs(now_us: int, partitions: int, clock: str = "") -> list[Output]:
    """One tick for each partition. `clock` says which process ticks."""
    source = f"/clock/{clock}" if clock else "/clock"
    event = {"specversion": "1.0", "id": str(now_us), "source": source, "type": TICK, "time": text_of(now_us)}
    value = msgspec.json.encode(event)
    return [Output(INTERACTIONS, partition, None, value) for partition in range(partitions)]


class ClockMetrics:
    """Whether this clock is the one that ticks, and when it ticked last."""

    def __init__(self) -> None:
        self.elected = False
        self.ticked_us = 0

    def collect(self) -> Iterable[Metric]:
        """See `prometheus_client`."""
        elected = GaugeMetricFamily("quarterhour_clock_elected", "1 for the clock that ticks", value=self.elected)
        ticked = GaugeMetricFamily("quarterhour_clock_ticked_seconds", "Its last tick, in seconds since 1970")
        if self.ticked_us:
            ticked.add_metric([], self.ticked_us / MICROS_PER_SECOND)
        return (elected, ticked)


async def tick_for_ever(settings: Settings) -> None:
    """Publish ticks while elected, until SIGTERM or SIGINT; raises what the broker refuses."""
    name = f"{socket.gethostname()}-{os.getpid()}"
    kafka = settings.named_kafka()
    metrics = ClockMetrics()
    health = Health("clock", {"kafka": "Kafka has not answered yet", "group": _NOT_ELECTED})
    with ExitStack() as held:
        if settings.metrics_port is not None:
            held.callback(expose(metrics, health, settings.bind_address, settings.metrics_port))
        await admitted(kafka)
        producer = new_producer(kafka, f"quarterhour-clock-{name}", throwaway=settings.throwaway)
        await producer.start()
        try:
            async with new_lease(kafka, name, settings.session_timeout_seconds) as lease:
                looking = asyncio.create_task(watch(health, {"kafka": lease.kafka_missing}))
                try:
                    while True:
                        health.tell("group", "" if lease.joined else _NOT_ELECTED)
                        now_us = time.time_ns() // 1000
                        metrics.elected = await lease.renew(now_us)
                        if metrics.elected:
                            await produce(producer, tick_outputs(now_us, settings.interaction_partitions, name))
                            metrics.ticked_us = now_us
                        await lease.wait(INTERVAL_SECONDS)
                finally:
                    looking.cancel()
                    await asyncio.gather(looking, return_exceptions=True)
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
    with told_at_start():
        settings = Settings()
        logs.set_up("clock", settings.log_format)
        logging.getLogger("aiokafka").setLevel(logging.WARNING)
        asyncio.run(_until_stopped(settings))


if __name__ == "__main__":
    main()
