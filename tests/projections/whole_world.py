"""Interactions and commands through METER and ACCOUNTS in memory, onto the log that the loader reads.

Everything is folded as it comes: an interaction by METER, what METER says by ACCOUNTS, a command by ACCOUNTS. So the
log holds what the running system would have written, and the reconciliation can be asked whether it agrees.
"""

from __future__ import annotations

from typing import Any

import msgspec

from projections.loader.records import TopicPartition
from schemas import topics
from schemas.catalog import Catalog, load_catalog
from schemas.commands import Actor, Command, CommandBody
from schemas.instants import MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE
from schemas.ledger import LedgerRecord, decode_ledger
from schemas.routing import partition_of
from streams.accounts.partition import AccountsPartition
from streams.accounts.policy import policy_of
from streams.durable.machine import Output, PartitionMachine, RawRecord
from streams.metering.meter import MeterPartition
from streams.metering.policy import MeterPolicy
from tests.projections.fake_source import PARTITIONS, Log, home_of, message, tick

T0 = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
MINUTE, HOUR, DAY = MICROS_PER_MINUTE, MICROS_PER_HOUR, MICROS_PER_DAY
USD = 1_000_000
LATENESS = 6 * HOUR
_encode = msgspec.json.Encoder().encode


class WholeWorld:
    """The log, and the machines that write it."""

    def __init__(self, catalog: Catalog | None = None) -> None:
        self.log = Log()
        self.catalog = catalog or load_catalog()
        policy = MeterPolicy(lateness_us=LATENESS, interaction_partitions=PARTITIONS, account_partitions=PARTITIONS)
        self._meters = [MeterPartition(place, policy) for place in range(PARTITIONS)]
        accounts = policy_of(self.catalog)
        self._accounts = [AccountsPartition(place, accounts, PARTITIONS) for place in range(PARTITIONS)]
        machines: list[PartitionMachine] = [*self._meters, *self._accounts]
        for machine in machines:
            machine.restored(None)
        self._told = 0

    def say(
        self, at_us: int, user: str = "ann", *, app: str = "bot", workspace: str = "acme", id: str = "", **more: str
    ) -> str:
        """One message; its id."""
        self._told += 1
        id = id or f"e{self._told}"
        home = home_of(user, workspace, app, more.get("channel", "web"))
        self._interaction(home, message(at_us, id=id, user=user, app=app, workspace=workspace, **more))
        return id

    def tick(self, at_us: int) -> None:
        """The clock, on every partition."""
        self._told += 1
        for place in range(PARTITIONS):
            self._interaction(place, tick(at_us, f"t{self._told}-{place}"))

    def order(
        self,
        at_us: int,
        body: CommandBody,
        *,
        role: str = "operator",
        name: str = "olga",
        workspace: str = "acme",
    ) -> str:
        """A command; its id."""
        self._told += 1
        command = Command(f"c{self._told}", workspace, at_us, Actor(role, name), body)  # type: ignore[arg-type]
        self._inbox(partition_of(workspace, PARTITIONS), _encode(command))
        return command.command_id

    @property
    def ledger(self) -> list[LedgerRecord]:
        """Every ledger record."""
        return [
            decode_ledger(record.value)
            for place in range(PARTITIONS)
            for record in self.log.records[TopicPartition(topics.LEDGER, place)]
        ]

    def refusals(self) -> list[str]:
        """Why commands were refused."""
        return [record.note for record in self.ledger if record.kind == "command_refused"]

    def _interaction(self, place: int, value: bytes) -> None:
        append_us = self._append_us(value)
        offset = self.log.append(topics.INTERACTIONS, place, value, append_us // 1000)
        outputs = self._meters[place].step([RawRecord(offset, append_us // 1000, None, value)])
        self._pass_on(outputs)

    def _append_us(self, value: bytes) -> int:
        """Appended long after: nothing is too early."""
        return T0 + 4000 * DAY

    def _inbox(self, place: int, value: bytes | None) -> None:
        offset = self.log.append(topics.INBOX, place, value)
        self._pass_on(self._accounts[place].step([RawRecord(offset, 1000, None, self.to_accounts(value))]))

    def to_accounts(self, value: bytes | None) -> bytes | None:
        """What ACCOUNTS makes of an inbox record's value: a world with a fault in it says something else."""
        return value

    def _pass_on(self, outputs: list[Output]) -> None:
        for output in outputs:
            if output.topic == topics.INBOX:
                self._inbox(output.partition, output.value)
            else:
                self.log.append(output.topic, output.partition, output.value)


__all__: list[Any] = ["DAY", "HOUR", "LATENESS", "MINUTE", "T0", "USD", "WholeWorld"]
