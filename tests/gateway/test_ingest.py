"""The ingest's answers: per event, per request, under pressure, without a broker, with keys of every state."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from schemas.errors import InvalidRecord
from schemas.interactions import MAX_RECORD_BYTES, decode
from schemas.traces import TraceContext
from schemas.tracing import Tracer
from streams.doors.ingest.application import application
from streams.doors.ingest.modes import BATCH, BINARY, STRUCTURED
from streams.doors.ingest.taking import MAX_REQUEST_BYTES
from streams.gateway.errors import NotDelivered, Refused
from streams.gateway.keys import revoke
from tests.gateway.fakes import MemoryBackend, until

IN_FLIGHT = 64 * 1024


def event(identity: str = "e-1", workspace: str = "acme", **changes: Any) -> dict[str, Any]:
    """A valid event of now."""
    data = {"workspace": workspace, "app": "helper", "channel": "web", "user": "u1", "direction": "inbound"}
    return {
        "specversion": "1.0",
        "id": identity,
        "source": "/gateways/web-1",
        "type": "quarterhour.message.v1",
        "time": datetime.now(UTC).isoformat(),
        "data": data,
        **changes,
    }


class Door:
    """A client of the ingest with a key of the workspace acme."""

    def __init__(self, backend: MemoryBackend, client: httpx.AsyncClient) -> None:
        self.backend, self.client = backend, client
        self.issued = backend.new_key("acme")

    async def post(self, body: Any, content_type: str = STRUCTURED, **headers: str) -> httpx.Response:
        """POST; what is not bytes is sent as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"content-type": content_type, "authorization": f"Bearer {self.issued.text}", **headers}
        return await self.client.post("/v1/events", content=content, headers=sent)


@asynccontextmanager
async def open_door(in_flight: int = IN_FLIGHT, tracer: Tracer | None = None) -> AsyncIterator[Door]:
    backend = MemoryBackend()
    transport = httpx.ASGITransport(application(backend, in_flight, tracer))
    async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as client:
        yield Door(backend, client)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with open_door() as opened:
        yield opened


async def test_an_accepted_event_is_told_its_place_and_passed_on_byte_for_byte(door: Door) -> None:
    body = json.dumps(event(), indent=2).encode()
    answer = await door.post(body)
    assert answer.status_code == 200
    (result,) = answer.json()["results"]
    assert {name: result[name] for name in ("status", "id", "source", "topic")} == {
        "status": "accepted",
        "id": "e-1",
        "source": "/gateways/web-1",
        "topic": "interactions",
    }
    assert door.backend.logs[result["partition"]][result["offset"]] == body


async def test_an_answer_waits_for_the_acknowledgement(door: Door) -> None:
    door.backend.held = []
    asked = asyncio.create_task(door.post([event(str(n)) for n in range(3)], BATCH))
    await until(lambda: len(door.backend.held or ()) == 3)
    await asyncio.sleep(0.02)
    assert not asked.done()
    door.backend.release()
    answer = await asked
    assert (answer.status_code, answer.json()["accepted"]) == (200, 3)


async def test_binary_mode(door: Door) -> None:
    whole = event()
    headers = {f"ce-{name}": value for name, value in whole.items() if name != "data"}
    answer = await door.post(whole["data"], BINARY, **headers)
    assert answer.status_code == 200
    assert [json.loads(value) for value in door.backend.values()] == [whole]


TRACED = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
OWN = TraceContext("1af7651916cd43dd8448eb211c80319c", "c7ad6b7169203331")


async def test_the_trace_of_an_event_goes_along_its_own_before_the_requests(door: Door) -> None:
    batch = [event("1"), event("2", traceparent=OWN.text), event("3", traceparent="nonsense")]
    await door.post(batch, BATCH, traceparent=TRACED.text)
    await door.post(event("4"))
    assert door.backend.traces == [TRACED, OWN, TRACED, None]


async def test_with_traces_on_each_event_of_a_trace_has_a_span_and_a_refusal_its_trace_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[tuple[str, TraceContext, TraceContext | None, object]] = []

    class Told(Tracer):
        def __init__(self) -> None:
            self._sample_ratio = 0.0

        def span(self, name: str, own: Any, parent: Any, *rest: Any) -> None:
            told.append((name, own, parent, rest[2]["quarterhour.event.status"]))

        def close(self) -> None:
            """Nothing to close."""

    async with open_door(tracer=Told()) as door:
        await door.post([event("1"), event("2", traceparent=OWN.text)], BATCH)
        door.backend.fail = NotDelivered("no broker")
        await door.post(event("3"), traceparent=TRACED.text)
    assert [(name, parent, status) for name, _, parent, status in told] == [
        ("ingest", OWN, "accepted"), ("ingest", TRACED, "unknown"),
    ]  # fmt: skip
    assert door.backend.traces == [None, told[0][1]]
    assert "event 3 of /gateways/web-1 is unknown: no broker" in caplog.text


def bad_events() -> Iterator[tuple[str, Any]]:
    """Events that METER refuses, by what is wrong with them."""
    lacking = event()
    del lacking["data"]["user"]
    yield "missing", lacking
    yield "wrong version", event(specversion="0.3")
    yield "unknown type", event(type="com.example.thing")
    yield "no time zone", event(time="2026-01-31T09:00:00")
    yield "old", event(time="1970-01-01T00:00:00Z")
    yield "bad name", event(workspace="a/b")
    yield "control character", event(id="a\u0007b")
    yield "large", event(padding="x" * MAX_RECORD_BYTES)
    yield "deep", {**event(), "x": json.loads("[" * 300 + "]" * 300)}
    yield "no object", 7


@pytest.mark.parametrize(("name", "bad"), list(bad_events()), ids=[name for name, _ in bad_events()])
async def test_a_bad_event_has_meters_own_error_and_the_others_of_the_batch_are_accepted(name: str, bad: Any) -> None:
    with pytest.raises(InvalidRecord) as meters:
        decode(json.dumps(bad).encode())
    async with open_door(1024 * 1024) as door:
        answer = await door.post([event("before"), bad, event("after")], BATCH)
        assert answer.status_code == 207
        before, refused, after = answer.json()["results"]
        assert (before["status"], after["status"]) == ("accepted", "accepted")
        assert (refused["index"], refused["status"]) == (1, "refused")
        expected = meters.value
        found = {part: refused["error"].get(part, "") for part in ("reason", "field", "value", "rule", "detail")}
        assert found == {
            "reason": expected.reason,
            "field": expected.field,
            "value": expected.value,
            "rule": expected.rule,
            "detail": expected.detail,
        }
        alone = await door.post(bad)
        assert alone.status_code == {"large": 413, "deep": 400}.get(name, 422)
        assert alone.json()["results"][0]["error"] == refused["error"]


async def test_u6_what_meter_will_refuse_as_too_early_is_refused_here(door: Door) -> None:
    ahead = datetime.now(UTC) + timedelta(minutes=6)
    answer = await door.post(event(time=ahead.isoformat()))
    assert (answer.status_code, answer.json()["results"][0]["error"]["reason"]) == (422, "too_early")


async def test_a_clock_tick_is_not_a_gateways_to_send(door: Door) -> None:
    tick = {name: value for name, value in event(type="quarterhour.tick.v1").items() if name != "data"}
    answer = await door.post(tick)
    assert answer.status_code == 422
    assert answer.json()["results"][0]["error"]["field"] == "type"
    assert door.backend.values() == []


async def test_an_event_of_another_workspace_is_refused(door: Door) -> None:
    alone = await door.post(event(workspace="other"))
    assert alone.status_code == 403
    assert alone.json()["results"][0]["error"]["value"] == "other"
    answer = await door.post([event("mine"), event("theirs", "other")], BATCH)
    assert [result["status"] for result in answer.json()["results"]] == ["accepted", "refused"]
    assert len(door.backend.values()) == 1


async def test_only_a_key_in_force_lets_in(door: Door) -> None:
    key, text = door.issued.key, door.issued.text
    other = door.backend.new_key("other")
    for wrong in ("", "Bearer", f"Basic {text}", f"Bearer {text}x", f"Bearer qh_{key.key_id}_{other.text[-43:]}"):
        answer = await door.post(event(), authorization=wrong)
        assert answer.status_code == 401, wrong
        assert answer.headers["www-authenticate"] == "Bearer"
    assert (await door.post(event(), authorization=f"bearer {text}")).status_code == 200
    door.backend.keys.apply(b"", msgspec.json.encode(revoke(key, "owner", 2)), 0, 1)
    assert (await door.post(event())).status_code == 401


async def test_back_pressure_is_429_with_retry_after_and_nothing_is_taken(door: Door) -> None:
    door.backend.held = []
    large = event("large", padding="x" * (IN_FLIGHT - 2_000))
    asked = asyncio.create_task(door.post(large))
    await until(lambda: bool(door.backend.held))
    answer = await door.post(event("small", padding="x" * 3_000))
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"]["reason"] == "too_busy"
    door.backend.release()
    assert (await asked).status_code == 200
    assert (await door.post(event("small", padding="x" * 3_000))).status_code == 200
    assert len(door.backend.values()) == 2


@pytest.mark.parametrize("announced", [True, False])
async def test_a_request_that_is_too_large_is_413_whether_it_says_so_or_not(announced: bool) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * (MAX_REQUEST_BYTES // 4)

    async with open_door(64 * 1024 * 1024) as door:
        headers = {"content-type": STRUCTURED, "authorization": f"Bearer {door.issued.text}"}
        content: Any = b" " * (MAX_REQUEST_BYTES + 1) if announced else body()
        answer = await door.client.post("/v1/events", content=content, headers=headers)
        assert answer.status_code == 413
        assert answer.json()["error"]["rule"] == f"at most {MAX_REQUEST_BYTES} bytes a request"
        assert (await door.post(event())).status_code == 200, "its bytes are given back"


async def test_a_body_that_comes_too_slowly_is_408_and_one_of_many_pieces_is_taken(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = json.dumps(event()).encode()

    async def body(pause: float) -> AsyncIterator[bytes]:
        for byte in whole:
            yield bytes([byte])
            await asyncio.sleep(pause)

    headers = {"content-type": STRUCTURED, "authorization": f"Bearer {door.issued.text}"}
    monkeypatch.setattr("streams.doors.ingest.taking.BODY_SECONDS", 0.1)
    answer = await door.client.post("/v1/events", content=body(0.02), headers=headers)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (408, "slow_body")
    monkeypatch.setattr("streams.doors.ingest.taking.BODY_SECONDS", 30)
    assert (await door.client.post("/v1/events", content=body(0), headers=headers)).status_code == 200
    assert door.backend.values() == [whole]


@pytest.mark.parametrize("announced", ["9" * 5_000, str(MAX_REQUEST_BYTES + 1)])
async def test_an_announced_length_is_believed(door: Door, announced: str) -> None:
    assert (await door.post(event(), **{"content-length": announced})).status_code == 413


async def test_without_a_broker_it_is_503_with_retry_after_and_not_ready_but_healthy(door: Door) -> None:
    backend = door.backend
    for broken in ({"connected": False}, {"stalled": 6.0}, {"keys_age": 60.0}):
        for name, value in broken.items():
            setattr(backend, name, value)
        answer, ready = await door.post(event()), await door.client.get("/ready")
        assert (answer.status_code, ready.status_code) == (503, 503)
        assert int(answer.headers["retry-after"]) >= 1
        assert (await door.client.get("/health")).status_code == 200
        backend.connected, backend.stalled, backend.keys_age = True, 0.0, 0.0
        assert (await door.client.get("/ready")).status_code == 200
    assert backend.values() == []


async def test_what_is_not_acknowledged_is_unknown_and_says_to_send_it_again(door: Door) -> None:
    door.backend.fail = NotDelivered("not in time")
    answer = await door.post([event("1"), event("2", specversion="9")], BATCH)
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    assert [result["status"] for result in answer.json()["results"]] == ["unknown", "refused"]
    door.backend.fail = Refused("too large for the broker")
    assert (await door.post(event())).status_code == 422
    door.backend.fail, door.backend.room = None, False
    assert (await door.post(event())).status_code == 503


async def test_compressed_bodies_and_other_paths_and_methods_are_refused(door: Door) -> None:
    zipped = await door.post(b"x", **{"content-encoding": "gzip"})
    assert (zipped.status_code, zipped.json()["error"]["field"]) == (415, "content-encoding")
    assert (await door.client.get("/v1/events")).status_code == 405
    assert (await door.client.get("/v2/events")).status_code == 404


async def test_the_metrics_count_requests_events_and_bytes(door: Door) -> None:
    await door.post([event("1"), event("2"), event("3", specversion="9")], BATCH)
    await door.post(event(), authorization="")
    text = (await door.client.get("/metrics")).text
    for line in (
        'quarterhour_ingest_requests_total{status="207"} 1.0',
        'quarterhour_ingest_requests_total{status="401"} 1.0',
        'quarterhour_ingest_events_total{result="accepted"} 2.0',
        'quarterhour_ingest_events_total{result="refused"} 1.0',
        "quarterhour_ingest_in_flight_bytes 0.0",
        "quarterhour_ingest_keys_age_seconds 0.0",
    ):
        assert line in text.splitlines()
