"""`quarterhour bench gateway`: the gateways' SDK and the HTTP ingest on a real Kafka of this machine.

Every way of publishing sends the same events, 200 users of 20 apps, and waits for all acknowledgements. Floors in the
same run: confluent-kafka with the same guarantee, aiokafka's `send`, and its `send_and_wait` one at a time. CPU is that
of the process that publishes: this one, or for HTTP the ingest's own (the client here is apart). `allowed` is timed
call by call over a view of 10,000 apps.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import confluent_kafka
import msgspec
import psutil

from schemas.entitlements import Entitlement, entitlement_key
from schemas.gateway_keys import encode_key
from schemas.instants import MICROS_PER_SECOND
from schemas.settings import Settings
from schemas.topics import ALERTS, ENTITLEMENTS, GATEWAY_KEYS, INTERACTIONS, topic_table
from schemas.units import Origin
from scripts.bench.broker import broker
from scripts.stack.ports import free_port
from scripts.stack.process import Process, ProcessSpec
from scripts.stack.topics import create_topics
from streams.doors.ingest.modes import BATCH, STRUCTURED
from streams.doors.ingest.process import command
from streams.durable.machine import Output
from streams.durable.producer import new_producer, produce
from streams.gateway import Gateway, new_event
from streams.gateway.events import checked
from streams.gateway.keys import issue

AIM_ALLOWED_P99_US = 1_000
APPS = 10_000
WORKSPACE = "bench"
Events = Sequence[tuple[str, bytes]]


def main(arguments: list[str] | None = None) -> int:
    """Measure everything; the exit code is 0 whether the aim is reached or not."""
    parser = argparse.ArgumentParser(prog="quarterhour bench gateway", description="Measure SDK and HTTP ingest.")
    parser.add_argument("--json", action="store_true", help="the last line on stdout is one JSON object")
    parser.add_argument("--events", type=int, default=100_000, help="events in bulk (%(default)s)")
    given = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    found = asyncio.run(_measure(given.events))
    found["machine"] = f"{os.cpu_count()} cores, Python {sys.version.split()[0]}"
    found["load_average_before"] = round(load, 1)
    found["measured"] = datetime.now(UTC).strftime("%Y-%m-%d")
    print(json.dumps(found) if given.json else json.dumps(found, indent=2), flush=True)
    return 0


async def _measure(count: int) -> dict[str, Any]:
    async with broker(_say) as (bootstrap, folder):
        await create_topics(bootstrap, topic_table())
        events = list(_events(count))
        few = events[: max(1, count // 50)]
        return {
            "events": count,
            "floor_confluent": await _timed("confluent-kafka produce", count, lambda: _confluent(bootstrap, events)),
            "floor_aiokafka_send": await _timed("aiokafka send", count, lambda: _aiokafka(bootstrap, events)),
            "floor_aiokafka_send_and_wait": await _timed(
                "aiokafka send_and_wait", len(few), lambda: _one_by_one(bootstrap, few)
            ),
            "sdk_publish": await _timed("SDK publish", count, lambda: _sdk(bootstrap, events)),
            **await _http(bootstrap, folder, events),
            **await _allowed(bootstrap),
        }


def _events(count: int) -> Iterator[tuple[str, bytes]]:
    when = datetime.now(UTC)
    for n in range(count):
        app, user = f"app-{n % 20}", f"user-{n % 200}"
        event = new_event("/bench", WORKSPACE, app, "web", user, "inbound", id=f"event-{n}", time=when)
        key, value, _ = checked(event)
        yield key, value


async def _timed(name: str, count: int, work: Callable[[], Awaitable[float]]) -> dict[str, float]:
    """`work` gives the wall time that counts; CPU is this process's meanwhile."""
    cpu = time.process_time()
    seconds = await work()
    return _figures(name, count, seconds, time.process_time() - cpu)


def _figures(name: str, count: int, seconds: float, cpu: float) -> dict[str, float]:
    found = {
        "events_per_second": round(count / seconds),
        "cpu_seconds_per_million": round(cpu / count * MICROS_PER_SECOND, 1),
    }
    _say(f"{name:26} {found['events_per_second']:>9,} events/s  {found['cpu_seconds_per_million']:>8} CPU s / 1 M")
    return found


async def _confluent(bootstrap: str, events: Events) -> float:
    def publish() -> float:
        producer = confluent_kafka.Producer(
            {"bootstrap.servers": bootstrap, "enable.idempotence": True, "partitioner": "murmur2_random"}
        )
        producer.produce(ALERTS, key="warm", value=b"{}", partition=0)  # its producer id may take a second to get
        producer.flush(60)
        begun = time.monotonic()
        for key, value in events:
            while True:
                try:
                    producer.produce(INTERACTIONS, key=key, value=value)
                    break
                except BufferError:
                    producer.poll(0.1)
        if producer.flush(60):
            raise SystemExit("confluent-kafka did not deliver everything")
        return time.monotonic() - begun

    return await asyncio.to_thread(publish)


async def _aiokafka(bootstrap: str, events: Events) -> float:
    producer = new_producer(bootstrap, "bench")
    await producer.start()
    try:
        begun = time.monotonic()
        await asyncio.gather(*[await producer.send(INTERACTIONS, value, key.encode()) for key, value in events])
        return time.monotonic() - begun
    finally:
        await producer.stop()


async def _one_by_one(bootstrap: str, events: Events) -> float:
    producer = new_producer(bootstrap, "bench")
    await producer.start()
    try:
        begun = time.monotonic()
        for key, value in events:
            await producer.send_and_wait(INTERACTIONS, value, key.encode())
        return time.monotonic() - begun
    finally:
        await producer.stop()


async def _sdk(bootstrap: str, events: Events) -> float:
    async with Gateway(bootstrap) as gateway:
        begun = time.monotonic()
        for _, value in events:
            await gateway.publish(value)
        await gateway.flush()
        return time.monotonic() - begun


async def _http(bootstrap: str, folder: Path, events: Events) -> dict[str, Any]:
    issued = issue(WORKSPACE, "bench", "bench", 1)
    await _produce(bootstrap, Output(GATEWAY_KEYS, 0, issued.key.key_id.encode(), encode_key(issued.key)))
    found: dict[str, Any] = {}
    async with _ingest(bootstrap, folder) as (port, process):
        for size, connections in ((1, 32), (100, 8), (1_000, 4)):
            given = events[: max(size, len(events) // (10 if size == 1 else 1))]
            bodies = [[value for _, value in given[first : first + size]] for first in range(0, len(given), size)]
            requests = [_request(issued.text, values) for values in bodies]
            waiting = iter(requests)
            cpu, begun = _cpu(process), time.monotonic()
            await asyncio.gather(*(_client(port, waiting) for _ in range(connections)))
            seconds = time.monotonic() - begun
            name = "single" if size == 1 else f"batch_{size}"
            figures = _figures(f"ingest {name}", len(given), seconds, _cpu(process) - cpu)
            found[f"ingest_{name}"] = {**figures, "connections": connections}
    return found


@asynccontextmanager
async def _ingest(bootstrap: str, folder: Path) -> Any:
    port = free_port()
    spec = ProcessSpec("ingest", command(port), Settings(kafka_bootstrap_servers=bootstrap).environment())
    process = await Process.start(spec, folder / "ingest.log")
    try:
        while not await _is_ready(port):
            if not process.running:
                raise SystemExit((folder / "ingest.log").read_text())
            await asyncio.sleep(0.1)
        yield port, psutil.Process(process.pid)
    finally:
        await process.stop()


async def _is_ready(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.write(b"GET /ready HTTP/1.1\r\nHost: ingest\r\nConnection: close\r\n\r\n")
    line = await reader.readline()
    writer.close()
    return b" 200 " in line


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _request(key: str, values: list[bytes]) -> bytes:
    body = values[0] if len(values) == 1 else b"[" + b",".join(values) + b"]"
    kind = STRUCTURED if len(values) == 1 else BATCH
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: ingest\r\nAuthorization: Bearer {key}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _client(port: int, requests: Iterator[bytes]) -> None:
    """Requests one after the other on a kept connection; anything but 200 ends the measurement."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request in requests:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise SystemExit(f"the ingest answered {head.decode()}{body[:500].decode()}")
    writer.close()


async def _allowed(bootstrap: str) -> dict[str, Any]:
    limits = {"requests_per_minute": 600_000, "concurrent_conversations": 2_000}
    view = [
        Entitlement(
            WORKSPACE, f"app-{n}", 1, Origin("account.inbox", 0, n, 0), True, "has_credit", 0, "standard", 2_500,
            limits, {}, "using_free_credits", 0, 0,
        )
        for n in range(APPS)
    ]  # fmt: skip
    await _produce(
        bootstrap,
        *(Output(ENTITLEMENTS, 0, entitlement_key(WORKSPACE, e.app), msgspec.json.encode(e)) for e in view),
    )
    took: list[int] = []
    async with Gateway(bootstrap, workspace=WORKSPACE) as gateway:
        for n in range(200_000):
            app, user = f"app-{n * 7_919 % APPS}", f"user-{n % 500}"
            begun = time.perf_counter_ns()
            decision = gateway.allowed(app, user=user)
            took.append(time.perf_counter_ns() - begun)
            if decision.sequence is None:
                raise SystemExit(f"the view lacks {app}")
            if n % 1_000 == 0:
                await asyncio.sleep(0)
    took.sort()
    p50, p99 = (round(took[int(len(took) * share)] / 1_000, 1) for share in (0.5, 0.99))
    _say(f"{'allowed':26} {p99:>9} µs p99   aim {AIM_ALLOWED_P99_US:,}")
    return {"allowed_p50_us": p50, "allowed_p99_us": p99, "allowed_max_us": round(took[-1] / 1_000), "apps": APPS}


async def _produce(bootstrap: str, *outputs: Output) -> None:
    producer = new_producer(bootstrap, "bench")
    await producer.start()
    try:
        await produce(producer, outputs)
    finally:
        await producer.stop()


def _say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
