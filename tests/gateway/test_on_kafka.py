"""SDK and ingest on a real Apache Kafka, which is killed and comes back while they publish."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import confluent_kafka
import httpx
import msgspec
import pytest

from schemas.entitlements import entitlement_key
from schemas.gateway_keys import encode_key
from schemas.interactions import Event
from schemas.routing import interaction_key, partition_of
from schemas.settings import Settings
from schemas.topics import DEFAULT_PARTITIONS, ENTITLEMENTS, GATEWAY_KEYS, INTERACTIONS
from scripts.soaking.broker import RestartableBroker
from scripts.stack.ports import free_port
from scripts.stack.process import Process, ProcessSpec
from streams.doors.ingest.modes import BATCH, STRUCTURED
from streams.doors.ingest.process import command
from streams.durable.machine import RawRecord
from streams.gateway import BrokerAway, EntitlementPolicy, Gateway, NotDelivered, PublisherPolicy, new_event
from streams.gateway.keys import IssuedKey, issue, revoke
from streams.metering.meter import MeterPartition
from streams.metering.policy import MeterPolicy
from tests.gateway.fakes import until
from tests.gateway.test_entitled import entitlement

pytestmark = pytest.mark.stack
README = (Path(__file__).resolve().parents[2] / "streams" / "gateway" / "README.md").read_text(encoding="utf-8")


def publish(broker: RestartableBroker, topic: str, *records: tuple[bytes, bytes]) -> None:
    """With confluent-kafka, acknowledged."""
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap})
    for key, value in records:
        producer.produce(topic, key=key, value=value)
    assert producer.flush(30) == 0


Stored = dict[int, list[confluent_kafka.Message]]


def stored(broker: RestartableBroker, workspace: str) -> Stored:
    """Every interaction of a workspace by partition, read with confluent-kafka."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "test"})
    found: Stored = {}
    for partition in range(DEFAULT_PARTITIONS):
        place = confluent_kafka.TopicPartition(INTERACTIONS, partition, 0)
        end = _end(consumer, place)
        consumer.assign([place])
        found[partition], seen = [], 0
        while seen < end:
            for message in consumer.consume(min(1_000, end - seen), timeout=5):
                seen = message.offset() + 1
                if json.loads(message.value())["data"]["workspace"] == workspace:
                    found[partition].append(message)
    consumer.close()
    return found


def _end(consumer: Any, place: Any) -> int:
    for _ in range(600):
        try:
            return int(consumer.get_watermark_offsets(place, timeout=10)[1])
        except confluent_kafka.KafkaException:  # just started again: no leader yet
            time.sleep(0.1)
    raise AssertionError(f"{place} has no leader")


def metered(found: Stored) -> Counter[str]:
    """What METER makes of the records, by outcome."""
    outcomes: Counter[str] = Counter()
    for partition, messages in found.items():
        machine = MeterPartition(partition, MeterPolicy())
        machine.restored(None)
        machine.step([RawRecord(m.offset(), m.timestamp()[1], m.key(), m.value(), m.headers() or ()) for m in messages])
        outcomes.update(machine.outcome_counts())
    return outcomes


def identities(found: Stored) -> Counter[str]:
    return Counter(json.loads(message.value())["id"] for messages in found.values() for message in messages)


async def test_u3_events_go_in_order_to_the_partition_of_their_key_and_the_receipt_tells_where(
    broker: RestartableBroker,
) -> None:
    async with Gateway(broker.bootstrap) as gateway:
        receipts = [
            await gateway.publish(new_event("/g", "order", "a", "c", f"u{n % 7}", "inbound", id=str(n)))
            for n in range(500)
        ]
        delivered = [await receipt for receipt in receipts]
    found = stored(broker, "order")
    by_place = {(p, m.offset()): json.loads(m.value()) for p, messages in found.items() for m in messages}
    for number, place in enumerate(delivered):
        assert by_place[place.partition, place.offset]["id"] == str(number)
        key = interaction_key("order", "a", "c", f"u{number % 7}")
        assert place.partition == partition_of(key, DEFAULT_PARTITIONS)
    for messages in found.values():
        by_user: dict[str, list[int]] = {}
        for message in messages:
            event = json.loads(message.value())
            by_user.setdefault(event["data"]["user"], []).append(int(event["id"]))
        assert all(numbers == sorted(numbers) for numbers in by_user.values())


async def test_e1_allowed_follows_the_topic_and_says_how_stale_it_is(broker: RestartableBroker) -> None:
    def told(*held: Any) -> None:
        publish(broker, ENTITLEMENTS, *((entitlement_key(h.workspace, h.app), msgspec.json.encode(h)) for h in held))

    told(entitlement(3), entitlement(5, 2, app="other", allowed=False, why="no_credit"))
    async with Gateway(broker.bootstrap, workspace="acme") as gateway:
        decision = gateway.allowed("helper")
        assert (decision.allowed, decision.sequence) == (True, 3)
        assert gateway.allowed("other").why == "no_credit"
        assert gateway.allowed("nobody").why == "unknown_app"
        assert gateway.allowed("helper", workspace="elsewhere").why == "unknown_app"
        told(entitlement(7, 9, allowed=False, why="no_credit"))
        await until(lambda: not gateway.allowed("helper").allowed)
        assert gateway.allowed("helper").sequence == 7
        now = time.monotonic()
        # The broker goes on telling that nothing is new.
        await until(lambda: time.monotonic() - now > gateway.staleness_seconds + 0.5)


async def test_no_broker_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(BrokerAway, match="quarterhour up"):
        async with Gateway("127.0.0.1:1"):
            pass


async def test_l3_a_broker_killed_while_the_sdk_publishes_loses_nothing_and_nothing_counts_twice(
    broker: RestartableBroker,
) -> None:
    count = 3_000
    policy = EntitlementPolicy(stale_after_seconds=1.0, stale_view="closed")
    publish(broker, ENTITLEMENTS, (b"acme/stale", msgspec.json.encode(entitlement(app="stale"))))
    once = new_event("/g", "killed", "a", "c", "u0", "inbound", id="once")
    async with (
        Gateway(broker.bootstrap, entitlements=policy, publishing=PublisherPolicy(64 * 1024, 240)) as gateway,
        Gateway(broker.bootstrap, publishing=PublisherPolicy(delivery_seconds=0.5)) as hasty,
    ):
        await until(lambda: gateway.allowed("stale", workspace="acme").allowed)

        async def publish_all() -> None:
            for n in range(count):
                receipt = await gateway.publish(new_event("/g", "killed", "a", "c", f"u{n % 50}", "inbound", id=str(n)))
                if n == count // 5:
                    await receipt
                elif n == count // 4:
                    broker.kill()

        publishing = asyncio.create_task(publish_all())
        await until(lambda: gateway.allowed("stale", workspace="acme").why == "stale_view")
        assert not publishing.done(), "the buffer is full: publishing waits"
        assert gateway.buffered_bytes <= 64 * 1024
        given_up = await hasty.publish(once)
        with pytest.raises(NotDelivered, match="U7"):
            await given_up
        await broker.start()
        await publishing
        await gateway.flush()
        await until(lambda: gateway.allowed("stale", workspace="acme").allowed)
        with pytest.raises(NotDelivered):
            await hasty.flush()
        async with asyncio.timeout(120):
            while not await delivered(hasty, once):
                pass
    found = stored(broker, "killed")
    assert set(identities(found)) == {str(n) for n in range(count)} | {"once"}
    outcomes = metered(found)
    assert (outcomes["opened"], outcomes["opened"] + outcomes["joined"]) == (50, count + 1)


async def delivered(gateway: Gateway, event: Event) -> bool:
    """Publish an event; whether it was delivered in time."""
    try:
        await (await gateway.publish(event))
    except NotDelivered:
        return False
    return True


@asynccontextmanager
async def ingest(broker: RestartableBroker, *keys: IssuedKey) -> AsyncIterator[httpx.AsyncClient]:
    """The ingest's own process; the client has the first key."""
    publish(broker, GATEWAY_KEYS, *((one.key.key_id.encode(), encode_key(one.key)) for one in keys))
    port = free_port()
    environment = Settings(kafka_bootstrap_servers=broker.bootstrap).environment()
    spec = ProcessSpec("ingest", command(port), environment, grace_seconds=60)
    process = await Process.start(spec, broker.directory / "ingest.log")
    headers = {"authorization": f"Bearer {keys[0].text}"}
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=120) as client:
            await _ready(client)
            yield client
            assert process.running, (broker.directory / "ingest.log").read_text()
    finally:
        code = await process.stop()
    assert code in (0, -15), (broker.directory / "ingest.log").read_text()


async def _ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(120):
        while True:
            try:
                if (await client.get("/ready")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)


def event(workspace: str, identity: str, user: str = "u") -> dict[str, Any]:
    """As a gateway without the SDK would make it."""
    data = {"workspace": workspace, "app": "a", "channel": "c", "user": user, "direction": "inbound"}
    when = datetime.now(UTC).isoformat()
    return {
        "specversion": "1.0", "id": identity, "source": "/h", "type": "quarterhour.message.v1", "time": when,
        "data": data,
    }  # fmt: skip


async def post(client: httpx.AsyncClient, events: Sequence[dict[str, Any]] | dict[str, Any]) -> httpx.Response:
    kind = STRUCTURED if isinstance(events, dict) else BATCH
    return await client.post("/v1/events", content=json.dumps(events), headers={"content-type": kind})


async def test_http_answers_with_the_place_in_the_topic_and_a_revoked_key_stops_within_seconds(
    broker: RestartableBroker,
) -> None:
    issued, other = issue("http", "", "o", 1), issue("elsewhere", "", "o", 1)
    async with ingest(broker, issued, other) as client:
        answer = await post(client, [event("http", str(n), f"u{n % 5}") for n in range(100)])
        assert answer.status_code == 200, answer.text
        stood = {(p, m.offset()): json.loads(m.value())["id"] for p, ms in stored(broker, "http").items() for m in ms}
        assert [stood[r["partition"], r["offset"]] for r in answer.json()["results"]] == [str(n) for n in range(100)]
        assert (await post(client, event("elsewhere", "1"))).status_code == 403
        publish(broker, GATEWAY_KEYS, (issued.key.key_id.encode(), encode_key(revoke(issued.key, "o", 2))))
        async with asyncio.timeout(60):
            while (await post(client, event("http", "after"))).status_code != 401:  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(0.05)
        client.headers["authorization"] = f"Bearer {other.text}"
        assert (await post(client, event("elsewhere", "1"))).status_code == 200


async def test_l3_a_broker_killed_while_clients_post_with_retries_loses_nothing_and_nothing_counts_twice(
    broker: RestartableBroker,
) -> None:
    issued = issue("posted", "", "o", 1)
    statuses: Counter[int] = Counter()
    away = asyncio.Event()
    async with ingest(broker, issued) as client:

        async def gateway(name: int) -> None:
            for n in range(30):
                events = [event("posted", f"{name}-{n}-{m}", f"u{name}") for m in range(10)]
                while events:
                    answer = await post(client, events)
                    statuses[answer.status_code] += 1
                    if answer.status_code == 200 and statuses[200] == 20:
                        broker.kill()
                        away.set()
                    results = answer.json()["results"]
                    accepted = {result["index"] for result in results if result["status"] == "accepted"}
                    assert not [result for result in results if result["status"] == "refused"]
                    events = [one for place, one in enumerate(events) if place not in accepted]
                    if events:
                        await asyncio.sleep(0.3)

        gateways = asyncio.gather(*(gateway(name) for name in range(5)))
        async with asyncio.timeout(60):
            await away.wait()
            while (await client.get("/ready")).status_code != 503:  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(0.1)
        assert (await client.get("/health")).status_code == 200
        refused = await post(client, event("posted", "x"))
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        another = asyncio.create_task(gateway(5))  # those in flight may wait for the broker, and never hear of it
        await until(lambda: statuses[503] > 0)
        await broker.start()
        await gateways
        await another
    assert statuses[200] >= 180
    expected = {f"{name}-{n}-{m}" for name in range(6) for n in range(30) for m in range(10)}
    found = stored(broker, "posted")
    assert set(identities(found)) == expected
    outcomes = metered(found)
    assert (outcomes["opened"], outcomes["opened"] + outcomes["joined"]) == (6, 1_800)


async def test_the_ingest_says_that_it_needs_an_address(tmp_path: Any) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "streams.doors.ingest", "--port", "1", stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin", "KAFKA_BOOTSTRAP_SERVERS": "", "PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    _, said = await process.communicate()
    assert process.returncode == 1
    assert b"KAFKA_BOOTSTRAP_SERVERS" in said


async def test_the_readmes_program_runs_as_it_stands(
    broker: RestartableBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    program = README.split("```python\n")[1].split("```")[0].replace("127.0.0.1:9092", broker.bootstrap)
    body = "\n".join(f"    {line}" for line in program.splitlines())
    scope: dict[str, Any] = {}
    exec(f"async def program():\n{body}\n", scope)
    await scope["program"]()
    decided, delivered = capsys.readouterr().out.splitlines()
    assert decided.split()[0] in ("True", "False")
    assert delivered.startswith("Delivered(topic='interactions'")
