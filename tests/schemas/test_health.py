"""Health and readiness in one form: what they say, and that a stopped event loop is seen from outside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator

import httpx
import pytest
from prometheus_client.core import GaugeMetricFamily, Metric

from schemas import health
from schemas.exposing import expose
from schemas.health import SILENT_SECONDS, Answer, Health, answered, watch
from scripts.healthy import main as healthy_main
from scripts.stack.ports import free_port


class Clock:
    """A monotonic clock that goes when told."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class OneGauge:
    """A collector."""

    def collect(self) -> Iterable[Metric]:
        return (GaugeMetricFamily("quarterhour_toys", "Toys", value=3),)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def toy(clock: Clock) -> Health:
    return Health("toy", {"kafka": "Kafka has not answered yet", "state": ""}, clock)


@pytest.fixture
def address(toy: Health) -> Iterator[str]:
    port = free_port()
    stop = expose(OneGauge(), toy, "127.0.0.1", port)
    yield f"http://127.0.0.1:{port}"
    stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/health")


def told(answer: Answer) -> tuple[int, dict[str, object]]:
    return answer.status, json.loads(answer.body)


def test_what_is_missing_is_named_with_a_sentence_until_it_is_there(toy: Health) -> None:
    missing = [{"what": "kafka", "words": "Kafka has not answered yet"}]
    assert told(toy.ready()) == (503, {"part": "toy", "ready": False, "missing": missing})
    toy.tell("kafka", "")
    assert told(toy.ready()) == (200, {"part": "toy", "ready": True, "missing": []})
    toy.tell("kafka", "Kafka is away")
    assert toy.ready().status == 503


def test_missing_things_are_no_reason_to_restart_but_a_loop_that_does_not_turn_is(toy: Health, clock: Clock) -> None:
    toy.tell("kafka", "")
    clock.seconds += SILENT_SECONDS
    assert told(toy.healthy()) == (200, {"part": "toy", "healthy": True})
    clock.seconds += 1
    assert told(toy.healthy()) == (503, {"part": "toy", "healthy": False})
    status, said = told(toy.ready())
    assert (status, said["missing"]) == (503, [{"what": "loop", "words": "the event loop has not turned for 31 s"}])
    toy.turned()
    assert (toy.healthy().status, toy.ready().status) == (200, 200)


async def test_an_answer_is_waited_for_so_long_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuses() -> None:
        raise OSError("connection refused")

    assert await answered(asyncio.sleep(0), "away") == ""
    assert await answered(refuses(), "away") == "away: connection refused"
    monkeypatch.setattr(health, "ANSWER_SECONDS", 0.01)
    assert await answered(asyncio.sleep(30), "away") == "away: no answer for 0.01 s"


async def test_the_watch_tells_what_it_saw_last_and_that_the_loop_turns(
    toy: Health, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "LOOK_SECONDS", 0.001)
    seen = ["away", "", ""]
    looked = asyncio.Event()

    async def look() -> str:
        if len(seen) == 1:
            looked.set()
            return seen[0]
        return seen.pop(0)

    clock.seconds += SILENT_SECONDS + 1
    watching = asyncio.create_task(watch(toy, {"kafka": look}))
    await asyncio.wait_for(looked.wait(), 30)
    watching.cancel()
    assert toy.healthy().status == 200
    await asyncio.gather(watching, return_exceptions=True)


async def test_a_look_that_hangs_or_fails_is_no_reason_to_restart(
    toy: Health, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "LOOK_SECONDS", 0.001)
    failed, turned = asyncio.Event(), asyncio.Event()
    turn = toy.turned

    def noted() -> None:
        turn()
        turned.set()

    monkeypatch.setattr(toy, "turned", noted)

    async def hangs() -> str:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    async def fails() -> str:
        failed.set()
        raise OSError("no address")

    watching = asyncio.create_task(watch(toy, {"kafka": hangs, "state": fails}))
    async with asyncio.timeout(30):
        await failed.wait()
        clock.seconds += SILENT_SECONDS + 1
        turned.clear()
        await turned.wait()
    assert toy.healthy().status == 200
    told_of = {one["what"]: one["words"] for one in json.loads(toy.ready().body)["missing"]}
    assert told_of == {"kafka": "Kafka has not answered yet", "state": "state cannot be asked: no address"}
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


def test_metrics_health_and_readiness_are_served_from_a_thread(
    address: str, toy: Health, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "quarterhour_toys 3.0" in httpx.get(f"{address}/metrics").text
    assert httpx.get(f"{address}/health").json() == {"part": "toy", "healthy": True}
    ready = httpx.get(f"{address}/ready")
    assert (ready.status_code, ready.headers["content-type"]) == (503, "application/json")
    assert httpx.get(f"{address}/else").status_code == 404
    assert healthy_main([f"{address}/ready"]) == 1
    assert "Kafka has not answered yet" in capsys.readouterr().err
    toy.tell("kafka", "")
    assert healthy_main([f"{address}/ready"]) == 0
    assert healthy_main([]) == 2
