"""What an admission would lead to, before it is given: the account core decides it on the account as it is now."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec
from rich.markup import escape
from rich.table import Table

from schemas.catalog import DEFAULT_CATALOG, load_catalog
from schemas.commands import Actor, AdmitLate, Command
from schemas.instants import text_of
from schemas.ledger import Charge, LedgerRecord, decode_ledger
from schemas.routing import partition_of
from schemas.settings import Settings
from schemas.topics import ACCOUNTS_CHANGELOG, LEDGER
from scripts.report import usd
from streams.accounts.partition import AccountsPartition
from streams.accounts.policy import policy_of
from streams.durable.changelog import recover
from streams.durable.machine import RawRecord


async def foreseen(settings: Settings, workspace: str, body: AdmitLate, command_id: str) -> LedgerRecord | None:
    """The ledger record that the command would leave now. Reads the state of the workspace's whole partition."""
    partition = partition_of(workspace, settings.account_partitions)
    machine = AccountsPartition(partition, policy_of(load_catalog(settings.catalog or DEFAULT_CATALOG)))
    found = await recover(settings.kafka, ACCOUNTS_CHANGELOG, partition, machine)
    command = Command(command_id, workspace, time.time_ns() // 1000, Actor("operator", "preview"), body)
    raw = RawRecord(found.position or 0, time.time_ns() // 10**6, None, msgspec.json.encode(command))
    return next((decode_ledger(out.value) for out in machine.step([raw]) if out.topic == LEDGER), None)


def units_table(workspace: str, body: AdmitLate, record: LedgerRecord | None) -> Table:
    """Each unit before and after, in dollars; the last row is what it comes to."""
    charges = record.charges if record is not None else ()
    title = escape(f"{body.user} with {body.app} on {body.channel}, {workspace}")
    table = Table("unit", "start", "becomes", "before", "after", title=title, show_footer=False)
    named = {unit.unit_id for unit in body.units}
    for unit in body.units:
        what = {1: "a unit more", -1: "no unit", 0: "billable" if unit.is_billable else "not billable"}[unit.delta]
        if unit.from_us is not None:
            what = f"starts then, not {text_of(unit.from_us)}"
        elif unit.delta == 1:
            what += ", billable" if unit.is_billable else ", not billable"
        before = None if unit.charge is None else unit.charge.price_micros
        posted = [charge for charge in charges if charge.unit_id == unit.unit_id]
        after = _after(posted) if posted else before
        table.add_row(unit.kind, text_of(unit.start_us), what, _usd(before), _usd(after))
    for charge in charges:
        if charge.unit_id not in named and not charge.reversed:  # it gets an included place that came free (P4)
            before = next(one.price_micros for one in charges if one.unit_id == charge.unit_id and one.reversed)
            table.add_row(charge.unit_kind, text_of(charge.start_us), "is included", _usd(before), "0.00")
    return table


def summary(record: LedgerRecord) -> Iterator[str]:
    """What it comes to, in sentences: the net charge, and what each grant gets or pays."""
    net = sum(-charge.price_micros if charge.reversed else charge.price_micros for charge in record.charges)
    yield f"net: {'charges' if net >= 0 else 'gives back'} USD {usd(abs(net))}"
    moved: dict[str, int] = {}
    for line in record.lines:
        if not line.account.startswith("usage:"):
            moved[line.account] = moved.get(line.account, 0) + line.amount_micros
    for account, amount in moved.items():
        if amount:
            yield f"  {account}: {'+' if amount > 0 else '-'}{usd(abs(amount))}"


def _after(posted: list[Charge]) -> int | None:
    charged = [charge.price_micros for charge in posted if not charge.reversed]
    return charged[-1] if charged else None


def _usd(micros: int | None) -> str:
    return "-" if micros is None else usd(micros)
