"""Is this machine, and what runs on it, fit for the pipeline? Each finding says what to do.

Checks are independent: one that cannot be made says so and fails, and the others are made all the same.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urljoin

import httpx
import msgspec
import psutil
from aiokafka.errors import KafkaError

from projections.connect import connect
from schemas.errors import ConfigurationError
from schemas.health import Ready
from schemas.settings import Settings
from schemas.topics import INTERACTIONS
from scripts.doors import DOORS
from scripts.operating.brokers import topic_states
from scripts.stack.home import METRICS, Home
from scripts.stack.ports import is_free
from streams.durable.reader import PartitionReader

OLDEST_JAVA = 17
LEAST_FREE_BYTES = 2 * 1024**3
LEAST_MEMORY_BYTES = 3 * 1024**3
LARGEST_SKEW_SECONDS = 5.0
SECONDS_A_CHECK = 30.0
_LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"


class Verdict(StrEnum):
    """Of one check. `WARNING`: it works, but not as it should."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found, and what to do about it (empty when nothing is to be done)."""

    check: str
    verdict: Verdict
    found: str
    advice: str = ""


Check = Callable[[Settings, Home], Awaitable[Finding]]


async def examine(settings: Settings, home: Home) -> list[Finding]:
    """Every check, in order."""
    return [await _made(name, check, settings, home) for name, check in CHECKS.items()]


async def _made(name: str, check: Check, settings: Settings, home: Home) -> Finding:
    try:
        async with asyncio.timeout(SECONDS_A_CHECK):
            return await check(settings, home)
    except (OSError, KafkaError, ConfigurationError, TimeoutError, subprocess.SubprocessError) as error:
        return Finding(name, Verdict.BAD, f"cannot be checked: {error or type(error).__name__}", "see the message")


async def _python(settings: Settings, home: Home) -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    good = sys.version_info >= (3, 11)
    return Finding("Python", _good(good), version, "" if good else "install Python 3.11 or later")


async def _packages(settings: Settings, home: Home) -> Finding:
    if not _LOCK.exists():
        return Finding("packages", Verdict.SKIPPED, "no lock file beside this installation")
    wrong = [said for package in locked(_LOCK.read_text(encoding="utf-8")) if (said := _wrong(*package))]
    if wrong:
        return Finding("packages", Verdict.WARNING, "; ".join(wrong[:5]), "run ./scripts/bootstrap.sh")
    return Finding("packages", Verdict.GOOD, "as locked")


def locked(text: str) -> list[tuple[str, str]]:
    """(name, version) of every package that a lock file asks for on every platform."""
    return re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+) \\$", text, re.MULTILINE)


def _wrong(name: str, version: str) -> str:
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"{name} is missing"
    return "" if found == version else f"{name} is {found}, locked {version}"


async def _java(settings: Settings, home: Home) -> Finding:
    if settings.kafka_bootstrap_servers:
        return Finding("Java", Verdict.SKIPPED, "not needed: Kafka is given")
    advice = f"install a JDK {OLDEST_JAVA} or later; without it the throw-away broker serves, and keeps nothing"
    if shutil.which("java") is None:
        return Finding("Java", Verdict.WARNING, "there is none", advice)
    done = await asyncio.to_thread(subprocess.run, ["java", "-version"], capture_output=True, text=True, timeout=20)
    version = java_version(done.stderr + done.stdout)
    if version is None or version < OLDEST_JAVA:
        return Finding("Java", Verdict.WARNING, f"version {version or 'unknown'}", advice)
    return Finding("Java", Verdict.GOOD, f"version {version}")


def java_version(text: str) -> int | None:
    """The major version in what `java -version` prints; None when there is none."""
    found = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(found[1]) if found else None


async def _maven(settings: Settings, home: Home) -> Finding:
    if settings.kafka_bootstrap_servers:
        return Finding("Maven", Verdict.SKIPPED, "not needed: Kafka is given")
    where = shutil.which("mvn")
    if where is None:
        return Finding("Maven", Verdict.WARNING, "there is none", "install Maven: it fetches Kafka once")
    return Finding("Maven", Verdict.GOOD, where)


async def _disk(settings: Settings, home: Home) -> Finding:
    folder = home.directory
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    good = free >= LEAST_FREE_BYTES
    advice = "" if good else f"free some, or set QUARTERHOUR_HOME to a larger disk; {_gib(LEAST_FREE_BYTES)} at least"
    return Finding("disk", _good(good), f"{_gib(free)} free at {folder}", advice)


async def _memory(settings: Settings, home: Home) -> Finding:
    free = psutil.virtual_memory().available
    good = free >= LEAST_MEMORY_BYTES
    advice = "" if good else f"the local stack wants {_gib(LEAST_MEMORY_BYTES)}: stop something else"
    return Finding("memory", Verdict.GOOD if good else Verdict.WARNING, f"{_gib(free)} available", advice)


async def _ports(settings: Settings, home: Home) -> Finding:
    chosen = {name: getattr(settings, name) for name in Settings.model_fields if name.endswith("_port")}
    given = {name: port for name, port in chosen.items() if port is not None}
    running = [record for world in home.worlds() if (record := world.running()) is not None]
    if running:
        return Finding("ports", Verdict.SKIPPED, "a stack runs and holds them")
    taken = [f"QUARTERHOUR_{name.upper()}={port}" for name, port in given.items() if not is_free(port)]
    if taken:
        return Finding("ports", Verdict.BAD, f"in use: {', '.join(taken)}", "stop what holds them, or choose others")
    return Finding("ports", Verdict.GOOD, ", ".join(map(str, given.values())) or "free ones are taken at start")


async def _stack(settings: Settings, home: Home) -> Finding:
    for world in home.worlds():
        record = world.running()
        if record is None:
            continue
        gone = [name for name, pid in record.pids.items() if not psutil.pid_exists(pid)]
        if gone:
            advice = f"see {world.logs}: a process that ends is started again, and the newest log says why"
            return Finding("stack", Verdict.WARNING, f"{world.name}: started again since: {', '.join(gone)}", advice)
        return Finding("stack", Verdict.GOOD, f"{world.name} runs, {len(record.pids)} processes")
    return Finding("stack", Verdict.SKIPPED, "none runs here")


async def _parts(settings: Settings, home: Home) -> Finding:
    for world in home.worlds():
        record = world.running()
        if record is None:
            continue
        asked = _ready_addresses(record.addresses)
        async with httpx.AsyncClient(timeout=5) as client:
            told = await asyncio.gather(*(_missing(client, *one) for one in asked.items()))
        missing = [words for words in told if words]
        if missing:
            advice = f"wait for what is named, or see {world.logs}"
            return Finding("parts", Verdict.WARNING, "; ".join(missing), advice)
        return Finding("parts", Verdict.GOOD, f"{', '.join(asked)}: ready")
    return Finding("parts", Verdict.SKIPPED, "no stack runs here")


def _ready_addresses(addresses: Mapping[str, str]) -> dict[str, str]:
    """Where each part of a running stack says whether it is ready."""
    parts = {name.removesuffix(METRICS): url for name, url in addresses.items() if name.endswith(METRICS)}
    parts |= {door.name: addresses[door.name] for door in DOORS if door.name in addresses}
    return {name: urljoin(url, "/ready") for name, url in parts.items()}


async def _missing(client: httpx.AsyncClient, name: str, url: str) -> str:
    try:
        answer = await client.get(url)
        told = msgspec.json.decode(answer.content, type=Ready)
    except (httpx.HTTPError, msgspec.MsgspecError) as error:
        return f"{name} does not answer: {str(error) or type(error).__name__}"
    return "" if told.ready else f"{name} is not ready: {'; '.join(missing.words for missing in told.missing)}"


async def _topics(settings: Settings, home: Home) -> Finding:
    if not settings.kafka_bootstrap_servers:
        return Finding("topics", Verdict.SKIPPED, "no Kafka runs or is given")
    states = await topic_states(settings)
    wrong = [f"{state.name} {difference}" for state in states for difference in state.differences]
    if wrong:
        return Finding("topics", Verdict.BAD, "; ".join(wrong), "see the README's table of topics")
    return Finding("topics", Verdict.GOOD, f"{len(states)}, as the table says")


async def _clock(settings: Settings, home: Home) -> Finding:
    if not settings.kafka_bootstrap_servers:
        return Finding("clock", Verdict.SKIPPED, "no Kafka runs or is given")
    async with PartitionReader(settings.kafka, INTERACTIONS, 0) as reader:
        before, end = time.time(), await reader.end()
        newest = None
        async for run in reader.read(max(end - 1, await reader.beginning()), end):
            newest = run[-1].timestamp_ms / 1000
    if newest is None:
        return Finding("clock", Verdict.SKIPPED, "the topic interactions is empty: nothing to compare with")
    ahead = newest - before
    if ahead > LARGEST_SKEW_SECONDS:
        advice = "set both machines by NTP: events are judged by the broker's clock (U6)"
        return Finding("clock", Verdict.BAD, f"the broker's clock is {ahead:.1f} s ahead of this machine's", advice)
    return Finding("clock", Verdict.GOOD, f"the newest record was appended {-ahead:,.1f} s ago")


async def _clickhouse(settings: Settings, home: Home) -> Finding:
    if not settings.clickhouse_url:
        return Finding("ClickHouse", Verdict.SKIPPED, "none runs or is given")
    version = await asyncio.to_thread(_clickhouse_version, settings.clickhouse_url)
    return Finding("ClickHouse", Verdict.GOOD, f"version {version}")


def _clickhouse_version(url: str) -> str:
    client = connect(url)
    try:
        return str(client.command("SELECT version()"))
    finally:
        client.close()


def _good(good: bool) -> Verdict:
    return Verdict.GOOD if good else Verdict.BAD


def _gib(count: int) -> str:
    return f"{count / 1024**3:,.1f} GiB"


CHECKS: dict[str, Check] = {
    "Python": _python,
    "packages": _packages,
    "Java": _java,
    "Maven": _maven,
    "memory": _memory,
    "disk": _disk,
    "ports": _ports,
    "stack": _stack,
    "parts": _parts,
    "topics": _topics,
    "clock": _clock,
    "ClickHouse": _clickhouse,
}
