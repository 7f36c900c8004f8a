"""The publisher over a broker that fails as told: order for each key, bounds, what is given up, other producers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka.errors import MessageSizeTooLargeError, OutOfOrderSequenceNumber, ProducerClosed, RequestTimedOutError
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.routing import partition_of
from schemas.traces import TraceContext
from streams.gateway import connection
from streams.gateway.errors import Closed, NotDelivered, Refused
from streams.gateway.publisher import Publisher, PublisherPolicy, Receipt
from tests.gateway.fakes import AfterWriting, FakeBroker, until


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.gateway.publisher.RETRY_SECONDS", 0)
    monkeypatch.setattr(connection, "RETRY_SECONDS", 0)


@asynccontextmanager
async def published(broker: FakeBroker, policy: PublisherPolicy | None = None) -> AsyncIterator[Publisher]:
    publisher = Publisher("nowhere", "test", policy or PublisherPolicy(), make_producer=broker.producer)
    await publisher.start()
    try:
        yield publisher
    finally:
        await publisher.close()


async def test_receipts_name_the_partition_of_the_key_and_the_offset() -> None:
    broker = FakeBroker(4)
    async with published(broker) as publisher:
        receipts = [await publisher.publish(f"w/a/c/u{n % 5}", str(n).encode()) for n in range(100)]
        for number, receipt in enumerate(receipts):
            delivered = await receipt
            assert delivered.partition == partition_of(f"w/a/c/u{number % 5}", 4)
            assert broker.logs[delivered.partition][delivered.offset].value == str(number).encode()
        assert publisher.budget.used == 0
        assert publisher.stalled_seconds() == 0


@settings(max_examples=30, deadline=None)
@given(
    keys=st.lists(st.integers(0, 3), min_size=1, max_size=60),
    faults=st.lists(st.tuples(st.sampled_from([OutOfOrderSequenceNumber, ProducerClosed]), st.booleans()), max_size=4),
)
async def test_law_3_whatever_fails_every_event_is_written_and_first_copies_are_in_order(
    keys: list[int], faults: list[tuple[type[Exception], bool]]
) -> None:
    broker = FakeBroker(2, most_records=7)
    broker.faults = [AfterWriting(kind()) if written else kind() for kind, written in faults]
    async with published(broker) as publisher:
        receipts = [await publisher.publish(f"k{key}", f"{key}:{n}".encode()) for n, key in enumerate(keys)]
        await publisher.flush()
        assert all(receipt.result().offset >= 0 for receipt in receipts)
    for key in set(keys):
        wanted = [f"{key}:{n}".encode() for n, k in enumerate(keys) if k == key]
        written = [sent.value for log in broker.logs for sent in log if sent.key == f"k{key}".encode()]
        assert list(dict.fromkeys(written)) == wanted


async def test_after_a_fault_that_no_retry_mends_another_producer_goes_on() -> None:
    broker = FakeBroker()
    broker.faults = [OutOfOrderSequenceNumber()]
    async with published(broker) as publisher:
        await (await publisher.publish("k", b"v"))
    assert broker.producers == 2
    assert [sent.producer for log in broker.logs for sent in log] == [2]


async def test_what_the_broker_refuses_for_good_is_told_and_the_rest_goes_on() -> None:
    broker = FakeBroker()
    broker.faults = [MessageSizeTooLargeError()]
    async with published(broker) as publisher:
        refused = await publisher.publish("k", b"large")
        with pytest.raises(Refused):
            await refused
        assert (await (await publisher.publish("k", b"v"))).offset == 0
        with pytest.raises(Refused, match="1 events were not delivered"):
            await publisher.flush()
        await publisher.flush()
    assert broker.producers == 1


async def test_a_full_buffer_makes_publish_wait_and_offer_say_no() -> None:
    broker = FakeBroker(most_records=1)
    broker.gate.clear()
    async with published(broker, PublisherPolicy(buffer_bytes=1_000)) as publisher:
        for _ in range(3):
            await publisher.publish("k", b"x" * 150)
        assert publisher.offer("k", b"x" * 150) is None
        waiting = [asyncio.create_task(publisher.publish("k", str(n).encode() * 150)) for n in range(3)]
        await asyncio.sleep(0.01)
        assert not any(task.done() for task in waiting)
        waiting[0].cancel()
        broker.gate.set()
        receipts: list[Receipt] = await asyncio.gather(*waiting[1:])
        assert [(await receipt).offset for receipt in receipts] == [3, 4]
        assert publisher.budget.used == 0
        with pytest.raises(ValueError, match="never fit"):
            await publisher.publish("k", b"x" * 2_000)


async def test_what_is_not_acknowledged_in_time_is_given_up_and_its_bytes_come_back_when_the_producer_lets_go() -> None:
    broker = FakeBroker(most_records=1)
    broker.gate.clear()
    async with published(broker, PublisherPolicy(delivery_seconds=0.2)) as publisher:
        receipts = [await publisher.publish("k", str(n).encode()) for n in range(3)]
        with pytest.raises(NotDelivered, match="U7"):
            await receipts[2]
        assert [str(type(receipt.exception()).__name__) for receipt in receipts] == ["NotDelivered"] * 3
        assert publisher.stalled_seconds() > 0, "the one in flight may be written yet"
        broker.gate.set()
        await until(lambda: publisher.budget.used == 0)
        assert [sent.value for log in broker.logs for sent in log] == [b"0"], "what waited behind it was not sent"
        with pytest.raises(NotDelivered, match="3 events"):
            await publisher.flush()


async def test_a_receipt_that_nobody_wants_any_more_is_not_sent() -> None:
    broker = FakeBroker(most_records=1)
    broker.gate.clear()
    async with published(broker) as publisher:
        await publisher.publish("k", b"0")
        unwanted = await publisher.publish("k", b"1")
        await asyncio.sleep(0.01)
        unwanted.cancel()
        broker.gate.set()
        await publisher.flush()
        assert publisher.budget.used == 0
    assert [sent.value for log in broker.logs for sent in log] == [b"0"]


async def test_closed_or_not_open_is_an_error() -> None:
    broker = FakeBroker()
    publisher = Publisher("nowhere", "test", make_producer=broker.producer)
    with pytest.raises(Closed):
        await publisher.publish("k", b"v")
    await publisher.start()
    await (await publisher.publish("k", b"v"))
    await publisher.close()
    with pytest.raises(Closed):
        publisher.offer("k", b"v")
    assert publisher.budget.used == 0


async def test_a_timeout_of_the_client_is_tried_again() -> None:
    broker = FakeBroker()
    broker.faults = [AfterWriting(RequestTimedOutError()), RequestTimedOutError()]
    async with published(broker) as publisher:
        assert (await (await publisher.publish("k", b"v"))).offset == 1
    assert [sent.value for log in broker.logs for sent in log] == [b"v", b"v"], "METER counts it once (U7)"


async def test_the_trace_of_an_event_is_a_header_of_its_record_also_when_it_is_sent_again() -> None:
    broker = FakeBroker(partitions=1)
    broker.faults = [AfterWriting(RequestTimedOutError("no answer"))]
    trace = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    async with published(broker) as publisher:
        await publisher.publish("k", b"traced", trace)
        await publisher.publish("k", b"plain")
        await publisher.flush()
    assert [(s.value, s.headers) for s in broker.logs[0]][-2:] == [(b"traced", (trace.header,)), (b"plain", ())]
