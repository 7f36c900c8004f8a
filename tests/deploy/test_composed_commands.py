"""The commands of docker-compose.yml count, charge and reconcile: beside local servers, and beside containers.

Outside a container each runs with the composed command and environment; addresses and ports alone are of this machine.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from projections import reconcile, usage
from projections.connect import connect
from schemas.settings import Settings
from scripts.drain import drain
from scripts.replay.publisher import replay
from scripts.stack.ports import free_port
from scripts.stack.process import ProcessSpec
from streams.workers.clock import ClockMetrics
from tests.deploy.composed import ROOT, ours
from tests.deploy.observed import metrics_in, queries, scrape_targets
from tests.deploy.servers import Servers, container_servers, local_servers
from tests.end_to_end.logs import months_of_talk
from tests.end_to_end.pipeline import log_of
from tests.metering.recount import Message, recount

pytestmark = pytest.mark.stack
MESSAGES = months_of_talk(7)[:400]
NewServers = Callable[[Path], AbstractAsyncContextManager[Servers]]
KINDS = [
    pytest.param(local_servers, id="local"),
    pytest.param(container_servers, id="containers", marks=pytest.mark.docker),
]
ONCE = ("prepare",)
LATER = ("reconcile", "clock")
"""The recount is for when everything has arrived, and the log brings its own time."""


@pytest.mark.parametrize("servers", KINDS)
async def test_the_composed_commands_meter_and_reconcile(servers: NewServers, tmp_path: Path) -> None:
    async with servers(tmp_path) as found:
        ports = await _start(found)
        settings = Settings(kafka_bootstrap_servers=found.kafka, clickhouse_url=found.clickhouse)
        await replay(log_of(MESSAGES), settings, None)
        await drain(settings, stuck_seconds=200)
        _assert_counts(found.clickhouse)
        await found.supervisor.start([_spec("reconcile", found, ports)])
        await _assert_reconciled(found.clickhouse)
        await asyncio.to_thread(_assert_healthy, ports)
        await asyncio.to_thread(_assert_observed, ports)
        restarts = {state.name: state.restarts for state in found.supervisor.processes() if state.restarts}
        assert restarts == {}
        await found.supervisor.start([_spec("clock", found, ports)])
        await _assert_ready_while_kafka_is_there(found, ports)


async def _start(servers: Servers) -> dict[str, dict[str, str]]:
    """Prepare, then every long-running service of ours; the ports that stand for the composed ones, by service."""
    prepare = ours()["prepare"]
    done = await asyncio.to_thread(
        subprocess.run,
        _argv(prepare["command"], {}),
        env={**os.environ, **_environment(prepare, servers, {})},
        capture_output=True, text=True, timeout=120, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ports: dict[str, dict[str, str]] = {}
    names = set(ours()) - {*ONCE, *LATER}
    await servers.supervisor.start([_spec(name, servers, ports) for name in sorted(names)])
    return ports


def _spec(name: str, servers: Servers, ports: dict[str, dict[str, str]]) -> ProcessSpec:
    service = ours()[name]
    ports[name] = {composed: str(free_port()) for composed in ("9100", "8080", "8081", "8082")}
    return ProcessSpec(name, _argv(service["command"], ports[name]), _environment(service, servers, ports[name]))


def _assert_counts(clickhouse: str) -> None:
    counts = recount(Message(f"{m.workspace}/{m.user}", m.time_us) for m in MESSAGES)
    client = connect(clickhouse)
    try:
        summary = usage.summary(client)
        assert summary.conversations == sum(n for (_, kind, _, _), n in counts.items() if kind == "conversation") > 0
        assert summary.sessions == sum(n for (_, kind, _, _), n in counts.items() if kind == "session")
        assert reconcile.reconcile(client).counts == {}
    finally:
        client.close()


async def _assert_reconciled(clickhouse: str) -> None:
    """The service that reconciles daily has done so once, when it started."""
    client = connect(clickhouse)
    try:
        async with asyncio.timeout(200):
            while reconcile.newest(client) is None:  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.2)
        (found,) = client.query("SELECT arraySum(mapValues(differences)) FROM reconciliations").result_rows
        assert found[0] == 0
    finally:
        client.close()


async def _assert_ready_while_kafka_is_there(servers: Servers, ports: dict[str, dict[str, str]]) -> None:
    """Every part but the page, which stands on ClickHouse, is not ready while Kafka is away, and lives on."""
    checks = {name: (service.get("healthcheck") or {}).get("test") for name, service in ours().items()}
    urls = {name: _argv(test[1:], ports[name])[-1] for name, test in checks.items() if test is not None}
    assert set(urls) == {"meter", "accounts", "loader", "mailer", "clock", "accounts-api", "ingest", "page"}
    async with httpx.AsyncClient(timeout=120) as client:

        async def told(name: str) -> list[str] | None:
            """What a part is missing; None while it does not answer."""
            try:
                answer = await client.get(urls[name])
            except httpx.TransportError:
                return None
            assert answer.json()["ready"] is (answer.status_code == 200), answer.text
            return [missing["what"] for missing in answer.json()["missing"]]

        async def ready(name: str) -> None:
            async with asyncio.timeout(200):
                while await told(name) != []:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.2)

        async def not_ready_and_healthy(name: str) -> None:
            async with asyncio.timeout(200):
                while not await told(name):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.2)
            health = await client.get(urls[name].replace("/ready", "/health"))
            assert (health.status_code, health.json()) == (200, {"part": name, "healthy": True})

        await asyncio.gather(*map(ready, urls))
        servers.freeze(True)
        try:
            await asyncio.gather(*(not_ready_and_healthy(name) for name in urls if name != "page"))
            assert await told("page") == []
        finally:
            servers.freeze(False)
        await asyncio.gather(*map(ready, urls))


def _assert_healthy(ports: dict[str, dict[str, str]]) -> None:
    """Every check is the same program; it is run for one, the others' addresses are asked below."""
    tests = {name: service["healthcheck"]["test"] for name, service in ours().items() if "healthcheck" in service}
    assert {tuple(test[:-1]) for test in tests.values()} == {("CMD", "python", "-m", "scripts.healthy")}
    argv = _argv(tests["meter"][1:], ports["meter"])
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def _assert_observed(ports: dict[str, dict[str, str]]) -> None:
    """Every metric that a rule or panel asks for is served by one of the scraped targets."""
    served = {"up", *(family.name for family in ClockMetrics().collect())}
    for target in scrape_targets():
        name, port = target.split(":")
        if name == "clock":
            continue  # it is not started yet
        text = httpx.get(f"http://127.0.0.1:{ports[name][port]}/metrics", timeout=60).text
        families = [family for family in text_string_to_metric_families(text) if family.name.startswith("quarterhour_")]
        assert families, target
        for family in families:
            served |= {sample.name for sample in family.samples} | {family.name}
    asked = set().union(*(metrics_in(query) for query in queries()))
    assert len(asked) > 15
    # A counter or histogram that has no samples yet is known by its family's name.
    assert asked - served - {f"{name}{suffix}" for name in served for suffix in ("_total", "_bucket")} == set()


def _argv(command: Sequence[str], ports: dict[str, str]) -> list[str]:
    """The composed command with this Python, and with ports of this machine."""
    program, *arguments = command
    head = [sys.executable] if program == "python" else [sys.executable, "-m", "scripts.cli"]
    for composed, here in ports.items():
        arguments = [argument.replace(composed, here) for argument in arguments]
    return [*head, *arguments]


def _environment(service: dict[str, object], servers: Servers, ports: dict[str, str]) -> dict[str, str]:
    given = service["environment"]
    assert isinstance(given, dict)
    here = {
        "KAFKA_BOOTSTRAP_SERVERS": servers.kafka,
        "CLICKHOUSE_URL": servers.clickhouse,
        "QUARTERHOUR_BIND_ADDRESS": "127.0.0.1",
        "QUARTERHOUR_METRICS_PORT": ports.get("9100", "9100"),
        "QUARTERHOUR_SMTP_URL": "smtp://127.0.0.1:9",  # nobody listens there: mails wait, and are retried
    }
    return {str(name): here.get(str(name), str(value)) for name, value in given.items()}
