"""Request and reply on a real Apache Kafka, ACCOUNTS being late, killed, and without a broker (laws 2, 3)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from schemas.commands import Actor, Command, CommandBody, CreateWorkspace, GrantCredit
from schemas.ledger import LedgerRecord, decode_ledger
from schemas.replies import outcome_of
from schemas.settings import Settings
from schemas.topics import LEDGER
from scripts.soaking.broker import spawn
from streams.durable.reader import PartitionReader
from streams.requests.desk import Desk
from streams.requests.requests import Answer, Requests
from streams.requests.sender import BrokerAway
from tests.requests.kafka import a_broker

pytestmark = pytest.mark.stack
WORKSPACES = ("acme", "globex", "initech")


def command(command_id: str, body: CommandBody, workspace: str = "acme") -> Command:
    """A command as a door makes it: the time is now."""
    return Command(command_id, workspace, time.time_ns() // 1000, Actor("operator", "op"), body, received=True)


def credit(number: int) -> Command:
    """One of many commands, to one of several workspaces."""
    return command(f"g{number}", GrantCredit(number + 1, "sorry"), WORKSPACES[number % len(WORKSPACES)])


class Accounts:
    """ACCOUNTS as a process."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self._settings, self._log = settings, directory / "accounts.log"
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start it, one more if it runs."""
        argv = [sys.executable, "-m", "streams.workers.accounts"]
        self._processes.append(spawn("accounts", argv, self._log, self._settings.environment()))

    def kill(self) -> None:
        """`kill -9` whatever runs."""
        for process in self._processes:
            process.kill()
            process.wait()


async def answered(requests: Requests, given: Command, seconds: float = 120) -> Answer:
    """Give a command until it is answered, as a patient client does: each time the same, at another time."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                answer = await requests.ask(msgspec.structs.replace(given, time_us=time.time_ns() // 1000))
            except BrokerAway:
                answer = None
            if answer is not None:
                return answer
            await asyncio.sleep(0.1)


async def ledger(settings: Settings) -> list[LedgerRecord]:
    """The distinct records of the ledger topic."""
    found: dict[tuple[str, int], LedgerRecord] = {}
    for partition in range(settings.account_partitions):
        async with PartitionReader(settings.kafka, LEDGER, partition) as reader:
            async for records in reader.read(0, await reader.end()):
                for raw in records:
                    record = decode_ledger(raw.value)
                    assert found.setdefault((record.workspace, record.sequence), record) == record
    return list(found.values())


async def test_a_command_is_answered_once_for_ever_whatever_dies_in_between(tmp_path: Path) -> None:
    async with a_broker(tmp_path) as (broker, settings):
        accounts = Accounts(settings, tmp_path)
        async with Requests(settings, "test") as requests:
            early = command("create", CreateWorkspace("olga"))
            assert await answered_or_none(requests, early) is None, "taken, but nobody has decided yet"
            accounts.start()
            first = await answered(requests, early)
            assert (outcome_of(first.record), first.record.time_us) == ("accepted", early.time_us)
            for workspace in WORKSPACES[1:]:
                await answered(requests, command("create", CreateWorkspace("olga"), workspace))

            together = await asyncio.gather(*(answered(requests, credit(n)) for n in range(100)))
            assert [answer.record.cause for answer in together] == [f"g{n}" for n in range(100)]
            killed = asyncio.gather(*(answered(requests, credit(n)) for n in range(100, 200)))
            await asyncio.sleep(0.01)
            accounts.kill()
            accounts.start()
            together += await killed

            requests.desk = Desk()  # as after a restart: nothing is remembered here, the ledger knows
            assert await answered(requests, early) == Answer(first.record, repeated=True)
            for number in (0, 99, 100, 199):
                assert await answered(requests, credit(number)) == Answer(together[number].record, repeated=True)
            other = await answered(requests, command("g0", GrantCredit(77, "more")))
            assert outcome_of(other.record) == "conflict"

            broker.kill()
            async with asyncio.timeout(60):  # it does not hang
                with pytest.raises(BrokerAway):
                    await requests.ask(credit(200))
            await broker.start()
            accounts.start()  # should it have ended with the broker; else this one stands by
            after = await answered(requests, credit(200))
            accounts.kill()
        records = await ledger(settings)
        granted = {record.cause: record for record in records if record.kind == "credit_added"}
        assert granted == {f"g{n}": answer.record for n, answer in enumerate([*together, after])}
        assert len([record for record in records if record.kind == "credit_added"]) == 201


async def answered_or_none(requests: Requests, given: Command) -> Answer | None:
    """Ask once, as soon as replies are heard."""
    async with asyncio.timeout(120):
        while not requests.listening:  # noqa: ASYNC110 - a flag, which tells no event
            await asyncio.sleep(0.02)
        try:
            return await requests.ask(given)
        except BrokerAway:  # its first connection took longer than the command may
            return await answered_or_none(requests, given)
