"""How fast ACCOUNTS posts: charges a second of CPU of one core, from inbox bytes to output bytes, state written.

The same number of charges is spread over few and over many workspaces that are there already; the ratio of their costs
says how flat posting is.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from schemas.catalog import load_catalog
from schemas.topics import INTERACTIONS
from schemas.units import Origin, Unit
from streams.accounts.partition import AccountsPartition
from streams.accounts.policy import policy_of
from streams.durable.machine import RawRecord

BATCH = 5_000
FEW, MANY = 10, 1_000_000
START_US = 1_767_225_600 * 10**6
PLENTY_MICROS = 10**12
"""Free credit that no run uses up, so that few workspaces pay from credit as many do."""
_STEP = 7_919
"""A prime: charges visit the workspaces in no order that memory could foresee."""
_MIXED = 0x9E3779B97F4A7C15F39CC0605CEDC835
"""Makes unit ids look like the digests they are."""
_encode = msgspec.json.Encoder().encode


def bench(charges: int = 200_000, many: int = MANY) -> dict[str, Any]:
    """Postings a second with few workspaces and with many, and the ratio of the costs."""
    few = seconds_of(FEW, charges)
    lots = seconds_of(many, charges)
    return {
        "charges": charges,
        "workspaces": [FEW, many],
        "postings_per_second": round(charges / few),
        "postings_per_second_many": round(charges / lots),
        f"cost_ratio_{'1m' if many == MANY else many}_to_10_workspaces": round(lots / few, 2),
    }


def seconds_of(workspaces: int, charges: int) -> float:
    """CPU seconds of the charges, after every workspace has been created by a unit of its own."""
    catalog = load_catalog()
    plenty = catalog.free_credit.model_copy(update={"amount_micros": PLENTY_MICROS})
    machine = AccountsPartition(0, policy_of(catalog.model_copy(update={"free_credit": plenty})))
    machine.restored(None)
    gc.disable()  # the making of the workspaces is not what is measured
    for batch in _batches(0, workspaces, workspaces):
        machine.step(batch)
        list(machine.take_changes())
    gc.freeze()
    gc.enable()
    spent = 0.0
    for batch in _batches(workspaces, charges, workspaces):
        began = time.process_time()
        machine.step(batch)
        list(machine.take_changes())
        machine.checkpoint()
        spent += time.process_time() - began
    gc.unfreeze()
    return spent


def _batches(first: int, count: int, workspaces: int) -> Iterator[list[RawRecord]]:
    for start in range(first, first + count, BATCH):
        yield [_record(at, workspaces) for at in range(start, min(start + BATCH, first + count))]


def _record(at: int, workspaces: int) -> RawRecord:
    name = f"w{at * _STEP % workspaces}"
    unit = Unit(
        Origin(INTERACTIONS, 0, at, 0), f"{at * _MIXED % 2**128:032x}", "conversation", "opened", 1, name,
        "bot", "web", "ann", "live", START_US + at * 1_000, True, 1, 1,
    )  # fmt: skip
    return RawRecord(at, 0, None, _encode(unit))
