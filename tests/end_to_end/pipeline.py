"""A whole pipeline for tests, in a world of its own: real Kafka, ClickHouse (both may be containers), the workers."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from projections import reconcile, usage
from projections.connect import connect
from schemas.settings import Settings
from scripts.drain import drain
from scripts.local import LocalStack, local_stack
from scripts.replay.schedule import schedule
from scripts.replay.source import EventLog, Message
from scripts.stack.home import Home
from streams.durable.machine import Output
from streams.durable.producer import new_producer, produce
from tests.servers import Container, servers_given

SETTINGS = Settings(session_timeout_seconds=3)


@dataclass(frozen=True, slots=True)
class Totals:
    """Everything two runs over the same events must have in common, to the micro-dollar."""

    conversations: int
    sessions: int
    charged_micros: int
    due_micros: int
    lapsed_micros: int
    users: tuple[usage.UserUsage, ...]
    days: tuple[usage.DayUsage, ...]
    balances: tuple[tuple[object, ...], ...]


class Pipeline:
    """A running stack and what tests do with it."""

    def __init__(self, stack: LocalStack, given: Mapping[str, Container]) -> None:
        self.stack, self.given = stack, given
        self.settings = stack.settings
        self.client: Any = connect(stack.settings.clickhouse_url)

    async def publish(self, outputs: Sequence[Output], chunk: int = 500) -> None:
        """Publish records, acknowledged."""
        producer = new_producer(self.settings.kafka, "test")
        await producer.start()
        try:
            for first in range(0, len(outputs), chunk):
                await produce(producer, outputs[first : first + chunk])
        finally:
            await producer.stop()

    async def drained(self) -> None:
        """Wait until all that was published is in ClickHouse."""
        await drain(self.settings, stuck_seconds=200)

    def pid(self, name: str) -> int:
        """The process id of a part of the stack."""
        return next(state.pid for state in self.stack.supervisor.processes() if state.name == name and state.pid)

    def restarts(self, name: str) -> int:
        """How often a part was started again."""
        if name in self.given:
            return self.given[name].restarts
        return next(state.restarts for state in self.stack.supervisor.processes() if state.name == name)

    async def loaded(self, at_least: int, seconds: float = 200) -> None:
        """Wait until that many interactions are in ClickHouse."""
        await until(lambda: self.query("SELECT count() FROM interactions")[0][0] >= at_least, seconds)

    async def killed(self, name: str) -> None:
        """`kill -9` a part, and wait until the supervisor has started it again and ClickHouse answers."""
        if (server := self.given.get(name)) is not None:
            await asyncio.to_thread(server.kill)
            await server.start()
            return
        before = self.restarts(name)
        os.kill(self.pid(name), signal.SIGKILL)
        await until(lambda: self.restarts(name) > before and self._runs(name) and self._answers(), 200)

    def _runs(self, name: str) -> bool:
        return any(state.name == name and state.pid for state in self.stack.supervisor.processes())

    def _answers(self) -> bool:
        try:
            self.query("SELECT 1")
        except Exception:  # any fault of a server that is just starting
            return False
        return True

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        return [tuple(row) for row in self.client.query(sql).result_rows]

    def totals(self) -> Totals:
        """The totals now."""
        summary = usage.summary(self.client)
        balances = tuple(
            (b.workspace, b.free_micros, b.paid_shared_micros, b.paid_apps_micros, b.due_micros)
            for b in usage.balances(self.client)
        )
        return Totals(
            summary.conversations, summary.sessions, summary.charged_micros, summary.due_micros, summary.lapsed_micros,
            tuple(usage.units_by_user(self.client)), tuple(usage.units_by_day(self.client)), balances,
        )  # fmt: skip

    def differences(self) -> dict[str, int]:
        """What the reconciliation finds, by check."""
        return reconcile.reconcile(self.client).counts


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until a condition holds; TimeoutError if it does not come to."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is watched is in other processes
            await asyncio.sleep(0.05)


@asynccontextmanager
async def pipeline(folder: Path, settings: Settings = SETTINGS, *, live: bool = False) -> AsyncIterator[Pipeline]:
    """A pipeline whose data is under `folder`."""
    world = Home(folder).world("test")
    async with servers_given(folder) as given:
        addresses = {name: value for server in given.values() for name, value in server.given.items()}
        settings = settings.model_copy(update=addresses)
        async with local_stack(world, settings, print, live=live, with_doors=live) as stack:
            yield Pipeline(stack, given)


def log_of(messages: Iterable[Message], name: str = "test") -> EventLog:
    """A log of these messages; its digest is its name."""
    return EventLog(name, (name * 64)[:64], "assistant", "chat", tuple(messages))


def steps_of(log: EventLog, settings: Settings = SETTINGS) -> list[Output]:
    """A replay of the log as records, in the order of arrival."""
    steps = schedule(log, settings.interaction_partitions, settings.allowed_lateness_us)
    return [Output("interactions", step.partition, step.key, step.value) for step in steps]
