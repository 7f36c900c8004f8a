"""The doctor tells what is wrong and what to do, and no check keeps another from being made."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from projections.loader.metrics import LoadMetrics
from schemas.exposing import expose
from schemas.health import Health
from schemas.settings import Settings
from scripts.operating.doctor import CHECKS, Finding, Verdict, examine, java_version, locked
from scripts.stack.home import METRICS, Home, StackRecord
from scripts.stack.ports import free_port


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.9" 2023-10-17', 17),
        ('java version "1.8.0_391"', 8),
        ('openjdk version "21" 2023-09-19', 21),
        ("no such thing", None),
    ],
)
def test_the_version_of_java_is_read(text: str, version: int | None) -> None:
    assert java_version(text) == version


def test_packages_for_every_platform_are_read_from_the_lock() -> None:
    lock = "one==1.2 \\\n    --hash=sha256:00\ntwo==3 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n"
    assert locked(lock) == [("one", "1.2")]


async def _examined(settings: Settings, folder: Path) -> dict[str, Finding]:
    found = await examine(settings, Home(folder))
    assert [finding.check for finding in found] == list(CHECKS)
    return {finding.check: finding for finding in found}


async def test_servers_that_do_not_answer_are_named_and_the_other_checks_are_made(tmp_path: Path) -> None:
    port = free_port()
    settings = Settings(
        kafka_bootstrap_servers=f"127.0.0.1:{port}", clickhouse_url=f"http://127.0.0.1:{port}/quarterhour"
    )
    found = await _examined(settings, tmp_path)
    for check in ("topics", "clock", "ClickHouse"):
        assert found[check].verdict is Verdict.BAD
        assert found[check].advice
    assert found["Python"].verdict is Verdict.GOOD
    assert found["packages"].verdict is Verdict.GOOD, found["packages"].found


async def test_a_part_of_a_running_stack_that_is_not_ready_is_named_with_what_it_lacks(tmp_path: Path) -> None:
    port, nobody = free_port(), free_port()
    world = Home(tmp_path).world("live")
    health = Health("meter", {"kafka": "Kafka is away"})
    with ExitStack() as held:
        held.enter_context(world.lock())
        held.callback(expose(LoadMetrics(), health, "127.0.0.1", port))
        addresses = {f"meter{METRICS}": f"http://127.0.0.1:{port}/metrics", "page": f"http://127.0.0.1:{nobody}/"}
        world.publish(StackRecord.of_this_process(addresses, {}))
        parts = await CHECKS["parts"](Settings(), Home(tmp_path))
        assert parts.verdict is Verdict.WARNING
        assert "meter is not ready: Kafka is away; page does not answer" in parts.found
        health.tell("kafka", "")
        world.publish(StackRecord.of_this_process({f"meter{METRICS}": addresses[f"meter{METRICS}"]}, {}))
        assert (await CHECKS["parts"](Settings(), Home(tmp_path))).found == "meter: ready"


async def test_a_port_that_is_taken_is_named_with_its_setting(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = await _examined(Settings(kafka_port=port), tmp_path)
    assert found["ports"].verdict is Verdict.BAD
    assert f"QUARTERHOUR_KAFKA_PORT={port}" in found["ports"].found
