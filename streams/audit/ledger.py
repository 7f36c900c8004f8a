"""Reading a ledger topic to verify it: every record, and ACCOUNTS' state for what should lie at its end.

The state is read first: what it has posted was in the ledger by then (law 1), and the ledger may go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from schemas.catalog import DEFAULT_CATALOG, load_catalog
from schemas.kafka import Address
from schemas.settings import Settings
from schemas.topics import ACCOUNTS_CHANGELOG, LEDGER
from streams.accounts.partition import AccountsPartition
from streams.accounts.policy import policy_of
from streams.accounts.verifying import Fault, Head, Verifier
from streams.durable.changelog import recover
from streams.durable.reader import PartitionReader

MOST_FAULTS = 10_000
Tell = Callable[[int, int], None]
"""Told how many records of how many are read."""


class Audit(NamedTuple):
    """What was found. `without_state` names partitions whose end nothing vouches for; `more` counts faults left out."""

    records: int
    workspaces: int
    faults: tuple[Fault, ...]
    more: int
    without_state: tuple[int, ...]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


def _heads(machine: AccountsPartition) -> dict[str, Head]:
    """What ACCOUNTS' state says the newest record of each workspace is."""
    accounts = machine.accounts.items()
    return {name: Head(state.sequence, state.last_hash) for name, state in accounts if state.sequence}


async def audit_ledger(settings: Settings, tell: Tell) -> Audit:
    """Verify the whole ledger topic."""
    kafka, policy = settings.kafka, policy_of(load_catalog(settings.catalog or DEFAULT_CATALOG))
    faults: list[Fault] = []
    records = workspaces = more = 0
    without_state: list[int] = []
    ends = {p: await _span(kafka, p) for p in range(settings.account_partitions)}
    total = sum(end - first for first, end in ends.values())
    for partition in ends:
        machine = AccountsPartition(partition, policy)
        recovered = await recover(kafka, ACCOUNTS_CHANGELOG, partition, machine)
        verifier = Verifier(partition, _heads(machine))
        async with PartitionReader(kafka, LEDGER, partition) as reader:
            async for run in reader.read(await reader.beginning(), await reader.end()):
                found = [fault for raw in run for fault in verifier.take(raw.offset, raw.value)]
                room = MOST_FAULTS - len(faults)
                faults += found[:room]
                more += max(len(found) - room, 0)
                tell(records + verifier.records, max(total, records + verifier.records))
        faults += verifier.end()
        if recovered.position is None and verifier.records:
            without_state.append(partition)
        records += verifier.records
        workspaces += len(verifier.digests)
    return Audit(records, workspaces, tuple(faults), more, tuple(without_state))


async def _span(kafka: Address, partition: int) -> tuple[int, int]:
    async with PartitionReader(kafka, LEDGER, partition) as reader:
        return await reader.beginning(), await reader.end()
