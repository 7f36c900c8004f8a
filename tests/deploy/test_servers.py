"""What tests run against is chosen by name; the containers are the composed services on ports of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import pytest

from projections.connect import parse_url
from scripts.stack.kafka_properties import server_properties
from tests import chosen, servers
from tests.deploy.composed import ROOT, compose
from tests.servers import ClickHouseContainer, KafkaContainer


class Fake:
    """A container that only remembers what it was told, with the names of testcontainers'."""

    def __init__(self, image: str) -> None:
        self.image = image
        self.env: dict[str, str] = {}
        self.ports: dict[str, Any] = {}
        self.options: dict[str, Any] = {}
        self.told: list[str] = []

    def with_envs(self, **variables: str) -> Self:
        self.env |= variables
        return self

    def with_kwargs(self, **options: Any) -> Self:
        self.options |= options
        return self

    def start(self) -> None:
        self.told.append("created")

    def stop(self) -> None:
        self.told.append("removed")

    def get_wrapped_container(self) -> Engine:
        return Engine(self.told)


class Engine:
    """What the engine is told of it."""

    def __init__(self, told: list[str]) -> None:
        self._told = told

    def start(self) -> None:
        self._told.append("started")

    def kill(self) -> None:
        self._told.append("killed")


@pytest.fixture
def no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen, "why_no_docker", lambda: "no Docker engine answers: it is asleep")


@pytest.mark.parametrize(("given", "containers"), [("", False), ("local", False), ("containers", True)])
def test_the_variable_chooses(given: str, containers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(chosen.VARIABLE, given)
    assert chosen.containers_chosen() is containers


def test_without_a_word_it_is_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(chosen.VARIABLE, raising=False)
    monkeypatch.setattr(servers, "kafka_artifacts", lambda _: "artifacts")
    made: list[object] = []
    monkeypatch.setattr(servers, "Broker", lambda *given: made.append(given))
    servers.new_broker(tmp_path)
    assert made == [("artifacts", tmp_path)]


def test_any_other_word_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(chosen.VARIABLE, "cloud")
    with pytest.raises(pytest.UsageError, match="QUARTERHOUR_TEST_SERVERS: 'cloud' is none of local, containers"):
        chosen.containers_chosen()


async def test_without_an_engine_each_skips_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, no_docker: None, tmp_path: Path
) -> None:
    monkeypatch.setenv(chosen.VARIABLE, "containers")
    with pytest.raises(pytest.skip.Exception, match="no Docker engine answers: it is asleep"):
        servers.new_broker(tmp_path)
    with pytest.raises(pytest.skip.Exception, match="it is asleep"):
        async with servers.servers_given(tmp_path):
            pass


def test_the_option_reaches_the_tests_and_they_say_why_they_skip(tmp_path: Path) -> None:
    """The protocol's tests on a machine that has no `docker`."""
    arguments = ["-p", "no:cacheprovider", "--basetemp", str(tmp_path / "nested"), "--servers", "containers"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, "tests/durable/test_on_kafka.py"],
        cwd=ROOT, env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    reasons = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
    assert reasons
    assert all("no Docker here:" in line for line in reasons), reasons
    assert re.search(r"=+ \d+ skipped in ", done.stdout), done.stdout


def test_kafka_is_the_composed_one_and_tells_clients_its_own_port(tmp_path: Path) -> None:
    made = KafkaContainer(tmp_path / "logs", Fake)
    composed = compose()["services"]["kafka"]
    assert made.container.image == composed["image"]
    assert made.container.ports == {"9094/tcp": ("127.0.0.1", made.port)}
    assert made.container.options == {"hostname": "kafka"}
    advertised = made.container.env.pop("KAFKA_ADVERTISED_LISTENERS").split(",")
    assert advertised == ["PLAINTEXT://kafka:9092", f"OUTSIDE://127.0.0.1:{made.port}"]
    assert (
        made.given
        == {"kafka_bootstrap_servers": f"127.0.0.1:{made.port}"}
        == {"kafka_bootstrap_servers": made.bootstrap}
    )
    kept = {name: str(value) for name, value in composed["environment"].items() if "ADVERTISED" not in name}
    assert kept.items() <= made.container.env.items()
    assert made.container.env["KAFKA_PROCESS_ROLES"] == "broker,controller"
    assert made.container.env["KAFKA_LISTENERS"].endswith("OUTSIDE://:9094")
    assert (tmp_path / "logs").is_dir()


def test_what_the_composed_kafka_leaves_open_is_as_in_the_local_one(tmp_path: Path) -> None:
    env = KafkaContainer(tmp_path, Fake).container.env
    assert env["KAFKA_BROKER_SESSION_TIMEOUT_MS"] == "3000"
    assert not [value for value in env.values() if value.endswith(":0")], "no address is left from the local ones"
    assert env["KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS"] == "4"
    named = {line.split("=")[0] for line in server_properties(Path("d"), 1, 2).splitlines() if "=" in line}
    assert {f"KAFKA_{name.upper().replace('.', '_')}" for name in named} <= set(env)


def test_clickhouse_is_the_composed_one_with_its_user(tmp_path: Path) -> None:
    made = ClickHouseContainer(Fake)
    composed = compose()["services"]["clickhouse"]
    assert made.container.image == composed["image"]
    assert made.container.env == composed["environment"]
    assert made.container.ports == {"8123/tcp": ("127.0.0.1", made.port)}
    address = parse_url(made.given["clickhouse_url"])
    assert (address.host, address.port, address.database) == ("127.0.0.1", made.port, "quarterhour")
    assert (address.user, address.password) == ("quarterhour", composed["environment"]["CLICKHOUSE_PASSWORD"])
    assert parse_url(f"{made.address}/other").user == "quarterhour"


async def test_killed_and_started_again_it_is_the_same_container(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[str] = []
    monkeypatch.setattr(servers, "wait_for_clickhouse", lambda url, _: waited.append(url))
    made = ClickHouseContainer(Fake)
    await made.start()
    assert made.restarts == 0
    made.kill()
    made.kill()  # as a test does that ends between a kill and a start
    await made.start()
    made.stop()
    assert made.container.told == ["created", "killed", "started", "removed"]
    assert made.restarts == 1
    assert waited == [f"http://127.0.0.1:{made.port}"] * 2


def test_the_real_container_takes_what_the_fake_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """testcontainers' own class, with an engine that is never asked."""
    from testcontainers.core import container

    class NoEngine:
        def __init__(self, **_: Any) -> None: ...

    monkeypatch.setattr(container, "DockerClient", NoEngine)
    made = ClickHouseContainer()
    assert made.container.image.endswith(made.service["image"])
    assert made.container.env["CLICKHOUSE_USER"] == "quarterhour"
    assert made.container.ports == {"8123/tcp": ("127.0.0.1", made.port)}
    for name in ("start", "stop", "get_wrapped_container"):
        assert callable(getattr(made.container, name))
