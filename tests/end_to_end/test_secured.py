"""The whole stack on a Kafka that wants TLS and a password, and what is said when Kafka refuses us."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest

from projections.loader.kafka import KafkaSource
from schemas.admission import admitted, refusal
from schemas.commands import Actor, Command, CreateWorkspace
from schemas.errors import QuarterhourError
from schemas.gateway_keys import encode_key
from schemas.kafka import Kafka
from schemas.replies import outcome_of
from schemas.settings import Settings
from schemas.topics import GATEWAY_KEYS, INTERACTIONS
from scripts.local import LocalStack, local_stack
from scripts.operating.brokers import topic_states
from scripts.operating.doctor import CHECKS, Verdict
from scripts.soaking.broker import spawn
from scripts.stack.home import Home
from scripts.stack.kafka_artifacts import KafkaUnavailable, kafka_artifacts
from scripts.stack.ports import free_port
from streams.doors.ingest.process import command as ingest_command
from streams.durable.machine import Output
from streams.durable.producer import new_producer, produce
from streams.durable.reader import PartitionReader
from streams.gateway import Gateway, new_event
from streams.gateway.keys import issue
from streams.requests.requests import Requests
from streams.workers import mailer
from streams.workers.clock import tick_for_ever
from tests.certificates import Authority
from tests.deploy.composed import ROOT
from tests.end_to_end.pipeline import Pipeline, until
from tests.end_to_end.secured import PASSWORD, PLAIN_USER, SCRAM_USER, SecuredKafka

pytestmark = pytest.mark.stack
WRONG = "a wrong password"
NO_SMTP = "smtp://127.0.0.1:9"  # nobody listens there, and there is no mail


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    try:
        artifacts = kafka_artifacts(lambda _: None)
    except KafkaUnavailable as problem:
        pytest.skip(str(problem))
    with SecuredKafka(artifacts, tmp_path_factory.mktemp("secured")) as made:
        yield made


def settings_of(kafka: Kafka, password_file: Path, password: str = PASSWORD) -> Settings:
    """As an operator sets them, the password in a file."""
    password_file.write_text(f"{password}\n")
    return Settings(
        kafka_bootstrap_servers=kafka.bootstrap, kafka_security_protocol=kafka.security_protocol,
        kafka_sasl_mechanism=kafka.sasl_mechanism, kafka_sasl_username=kafka.sasl_username,
        kafka_sasl_password_file=password_file, kafka_ssl_ca_file=kafka.ssl_ca_file, session_timeout_seconds=3,
    )  # fmt: skip


async def test_events_are_metered_charged_and_loaded_over_tls_and_with_a_password(
    secured: SecuredKafka, tmp_path: Path
) -> None:
    world = Home(tmp_path / "home").world("live")
    settings = settings_of(secured.sasl, tmp_path / "password")
    async with local_stack(world, settings, print, live=False, with_doors=False) as stack:
        settings, kafka = stack.settings, stack.settings.kafka
        port, mails = free_port(), settings.model_copy(update={"metrics_port": free_port(), "smtp_url": NO_SMTP})
        beside = [
            spawn("ingest", ingest_command(port), world.logs / "ingest.log", settings.environment()),
            spawn("mailer", [sys.executable, "-m", mailer.__name__], world.logs / "mailer.log", mails.environment()),
        ]
        clock = asyncio.create_task(tick_for_ever(settings))
        try:
            await _command(settings)
            await _publish(replace(kafka, sasl_username=PLAIN_USER, sasl_mechanism="PLAIN"))
            await _post(kafka, port)
            pipeline = Pipeline(stack, {})
            units = "SELECT kind, user FROM units WHERE workspace = 'acme' ORDER BY kind, user"
            sides = [(kind, user) for kind in ("conversation", "session") for user in ("http", "sdk")]
            await until(lambda: pipeline.query(units) == sides)
            await until(lambda: pipeline.query("SELECT count() FROM charges WHERE workspace = 'acme'") == [(2,)])
            await _ticked(kafka, settings.interaction_partitions)
            await _answered(lambda client: client.get(f"http://127.0.0.1:{mails.metrics_port}/ready"))
            home = Home(tmp_path / "home")
            findings = [await CHECKS[check](settings, home) for check in ("topics", "clock")]
            assert [finding.verdict for finding in findings] == [Verdict.GOOD, Verdict.GOOD], findings
            assert PASSWORD not in repr(findings) + _arguments(stack, *(process.pid for process in beside))
        finally:
            for process in beside:
                process.kill()
                process.wait()
            clock.cancel()
            await asyncio.gather(clock, return_exceptions=True)
    logs = {log.name: log.read_text(errors="replace") for log in world.logs.rglob("*") if log.is_file()}
    assert len(logs) >= 6, logs.keys()
    assert [name for name, text in logs.items() if PASSWORD in text] == []


def _arguments(stack: LocalStack, *more: int) -> str:
    running = [*(state.pid for state in stack.supervisor.processes() if state.pid is not None), *more]
    processes = [child for pid in running for child in (psutil.Process(pid), *psutil.Process(pid).children(True))]
    return " ".join(argument for process in processes for argument in process.cmdline())


async def _command(settings: Settings) -> None:
    """What the account API does: give a command and hear its answer."""
    body = CreateWorkspace("olga@acme.example")
    given = Command("c-1", "acme", time.time_ns() // 1000, Actor("operator", "op"), body, received=True)
    async with Requests(settings, "test", wait_seconds=60) as requests:
        answer = await requests.ask(given)
    assert answer is not None
    assert outcome_of(answer.record) == "accepted"


async def _publish(kafka: Kafka) -> None:
    async with Gateway(kafka, workspace="acme") as gateway:
        await (await gateway.publish(new_event("/tests", "acme", "helper", "web", "sdk", "inbound")))
        assert gateway.allowed("helper").why == "unknown_app"


async def _post(kafka: Kafka, port: int) -> None:
    issued = issue("acme", "test", "test", 1)
    producer = new_producer(kafka, "test")
    await producer.start()
    try:
        await produce(producer, [Output(GATEWAY_KEYS, 0, issued.key.key_id.encode(), encode_key(issued.key))])
    finally:
        await producer.stop()
    event = msgspec.json.encode(new_event("/tests", "acme", "helper", "web", "http", "inbound"))
    headers = {"Authorization": f"Bearer {issued.text}", "Content-Type": "application/cloudevents+json"}
    url = f"http://127.0.0.1:{port}/v1/events"
    answer = await _answered(lambda client: client.post(url, content=event, headers=headers))
    assert answer.json()["accepted"] == 1


async def _answered(ask: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]) -> httpx.Response:
    """The answer once it is 200: who is asked may be starting, or not know our key yet."""
    async with httpx.AsyncClient(timeout=30) as client, asyncio.timeout(60):
        while True:
            with contextlib.suppress(httpx.ConnectError):
                answer = await ask(client)
                assert answer.status_code in (200, 401, 503), answer.text
                if answer.status_code == 200:
                    return answer
            await asyncio.sleep(0.1)


async def _ticked(kafka: Kafka, partitions: int) -> None:
    for partition in range(partitions):
        async with PartitionReader(kafka, INTERACTIONS, partition) as reader, asyncio.timeout(60):
            while not await reader.end():  # noqa: ASYNC110 - the broker's
                await asyncio.sleep(0.1)


async def _run(settings: Settings, *arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, env={**os.environ, **settings.environment()}, cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(120):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, out.decode(), err.decode()


async def test_a_wrong_password_is_told_with_what_to_check_by_whoever_connects(
    secured: SecuredKafka, tmp_path: Path
) -> None:
    settings = settings_of(secured.sasl, tmp_path / "password", WRONG)
    settings = settings.model_copy(update={"smtp_url": NO_SMTP})
    ended = await asyncio.gather(
        _run(settings, "streams.workers.meter"), _run(settings, "scripts.cli", "backup", str(tmp_path / "backup"))
    )
    assert [code for code, _, _ in ended] == [70, 1]
    told = [out + err for _, out, err in ended]
    assert all("Traceback" not in text for text in told), told
    gateway, source = Gateway(settings.kafka), KafkaSource(settings.kafka, [INTERACTIONS])
    for attempt in (
        tick_for_ever(settings), mailer.work(settings), topic_states(settings), gateway.__aenter__(),
        source.__aenter__(), admitted(settings.kafka),
    ):  # fmt: skip
        with pytest.raises(QuarterhourError) as refused:
            await attempt
        told.append(str(refused.value))
    await source.__aexit__()
    for text in told:
        assert f"does not take the password of user '{SCRAM_USER}' (SCRAM-SHA-512)" in text
        assert "check KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD or KAFKA_SASL_PASSWORD_FILE" in text
        assert WRONG not in text


async def test_who_is_let_in_and_what_is_said_to_who_is_not(secured: SecuredKafka, tmp_path: Path) -> None:
    sasl, mutual, plain = secured.sasl, secured.mutual, secured.broker.bootstrap
    stranger = Authority(tmp_path, "stranger")
    unknown = stranger.sign("client", "DNS:client")
    by_name = sasl.bootstrap.replace("127.0.0.1", "localhost")
    let_in: list[Kafka | str] = [
        sasl, mutual, plain, replace(sasl, sasl_username=PLAIN_USER, sasl_mechanism="PLAIN"),
        replace(sasl, bootstrap=by_name, ssl_check_hostname=False),
        replace(sasl, bootstrap=f"127.0.0.1:{free_port()},{sasl.bootstrap}"),
        f"127.0.0.1:{free_port()}",  # nobody there is no refusal
    ]  # fmt: skip
    for kafka in let_in:
        assert (await refusal(kafka)).words == "", kafka
    refused: list[tuple[Any, bool, str]] = [
        (replace(sasl, sasl_password=WRONG), True, "KAFKA_SASL_PASSWORD"),
        (replace(sasl, sasl_username="nobody"), True, "the password of user 'nobody'"),
        (replace(sasl, sasl_mechanism="SCRAM-SHA-256"), True, "does not offer SCRAM-SHA-256"),
        (replace(sasl, ssl_ca_file=stranger.certificate), True, "name its authority in KAFKA_SSL_CA_FILE"),
        (replace(sasl, ssl_ca_file=None), True, "the system's are trusted"),
        (replace(sasl, bootstrap=by_name), True, "KAFKA_SSL_CHECK_HOSTNAME=false"),
        (replace(sasl, bootstrap=mutual.bootstrap), False, "the listener is SASL_SSL"),
        (replace(sasl, bootstrap=plain), False, "the listener is SASL_SSL"),
        (sasl.bootstrap, False, "the listener is PLAINTEXT, as KAFKA_SECURITY_PROTOCOL says"),
        (replace(mutual, ssl_certificate_file=None, ssl_key_file=None), False, "KAFKA_SSL_CERTIFICATE_FILE"),
        (
            replace(mutual, ssl_certificate_file=unknown.certificate, ssl_key_file=unknown.key), False,
            "the authority of KAFKA_SSL_CERTIFICATE_FILE",
        ),
    ]  # fmt: skip
    for kafka, certain, words in refused:
        found = await refusal(kafka)
        assert words in found.words, (words, found)
        assert found.certain is certain, found
        assert WRONG not in found.words
