"""How fast ACCOUNTS posts: charges a second of CPU of one core, from inbox bytes to output bytes, state written.

The same number of charges is spread over few and over many workspaces that are there already; the ratio of their costs
says how flat posting is. With many, also what they take in memory and in the changelog, and how long it takes to
recover them. Beside that, one workspace of many grants, and one of very many charges a day. Each case has a process of
its own.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import msgspec
import psutil

from schemas.catalog import load_catalog
from schemas.commands import Actor, Command, GrantCredit, InboxRecord
from schemas.topics import INTERACTIONS
from schemas.units import Origin, Unit, Watermark
from streams.accounts.partition import AccountsPartition
from streams.accounts.policy import policy_of
from streams.durable import collector
from streams.durable.machine import RawRecord

BATCH = 5_000
FEW, MANY = 10, 1_000_000
GRANTS, BUSY = 100_000, 1_000_000
START_US = 1_767_225_600 * 10**6
DAY_US = 86_400 * 10**6
LATER_US = START_US + 90 * DAY_US + DAY_US // 2
"""After the welcome credit of 90 days, and before any other."""
PLENTY_MICROS = 10**12
"""Free credit that no run uses up, so that few workspaces pay from credit as many do."""
_STEP = 7_919
"""A prime: charges visit the workspaces in no order that memory could foresee."""
_MIXED = 0x9E3779B97F4A7C15F39CC0605CEDC835
"""Makes unit ids look like the digests they are."""
_encode = msgspec.json.Encoder().encode


def bench(charges: int = 200_000, many: int = MANY, grants: int = GRANTS, busy: int = BUSY) -> dict[str, Any]:
    """Postings a second with few workspaces and with many, the ratio of the costs, and the other cases."""
    few = _alone(few_workspaces, charges)
    lots = _alone(many_workspaces, many, charges)
    return {
        "charges": charges,
        "workspaces": [FEW, many],
        "postings_per_second": round(charges / few),
        "postings_per_second_many": round(charges / lots["seconds"]),
        f"cost_ratio_{'1m' if many == MANY else many}_to_10_workspaces": round(lots["seconds"] / few, 2),
        "many": {name: value for name, value in lots.items() if name != "seconds"},
        "many_grants": _alone(many_grants, grants, charges),
        "busy": _alone(busy_workspace, busy),
    }


def _alone(case: Any, *figures: int) -> Any:
    """A case in a process of its own, so that none sees what another left in memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(case, *figures).result()


def few_workspaces(charges: int) -> float:
    """CPU seconds of the charges, spread over ten workspaces."""
    machine = _created(FEW)
    return seconds_of(machine, (_unit(at, FEW) for at in range(FEW, FEW + charges)), FEW)


def many_workspaces(workspaces: int, charges: int) -> dict[str, float]:
    """CPU seconds of the charges spread over many workspaces; what these take, and their recovery."""
    before = psutil.Process().memory_info().rss
    began = time.process_time()
    machine = _created(workspaces)
    created = time.process_time() - began
    memory = psutil.Process().memory_info().rss - before
    units = (_unit(at, workspaces) for at in range(workspaces, workspaces + charges))
    seconds = seconds_of(machine, units, workspaces)
    log, checkpoint = list(machine.shelf.records()), machine.checkpoint()
    del machine
    gc.collect()
    began = time.process_time()
    again = AccountsPartition(0, _policy())
    for key, value in log:
        again.restore(key, value)
    again.restored(checkpoint)
    recovered = time.process_time() - began
    assert len(again.accounts) == workspaces, "all are back"
    return {
        "seconds": seconds,
        "memory_mb": round(memory / 1e6),
        "changelog_mb": round(sum(len(key) + len(value) for key, value in log) / 1e6),
        "changelog_records": len(log),
        "recovery_seconds": round(recovered, 1),
        "created_per_second": round(workspaces / created),
    }


def many_grants(grants: int, charges: int) -> dict[str, float]:
    """Charges to a workspace of many grants of free credit that expire one after the other, a dollar each: every fifth
    charge uses one up. The same with a hundred grants left, and the bytes of state that a batch of them writes."""
    found: dict[str, float] = {}
    for count in (100, grants):
        machine = _created(1)
        given = (_credit(at, 10**6 if at < count - 1 else PLENTY_MICROS) for at in range(count))
        _fold(machine, given, 1)
        size = sum(len(value) for _, value in machine.shelf.records())
        _let_the_welcome_lapse(machine, count + 1)
        posted = min(charges, 4 * count)
        units = (_unit(at, 1, 1_000, LATER_US) for at in range(count + 2, count + 2 + posted))
        written = [0]
        seconds = seconds_of(machine, units, count + 2, written)
        name = "grants" if count == grants else "grants_few"
        found |= {
            name: count,
            f"postings_per_second_{name}": round(posted / seconds),
            f"state_bytes_{name}": size,
            f"written_bytes_a_posting_{name}": round(written[0] / posted),
        }
    return found


def busy_workspace(charges: int) -> dict[str, float]:
    """One workspace with so many charges in a day, all of which can still change; the first tenth and the last."""
    before = psutil.Process().memory_info().rss
    machine = _created(1)
    tenth = max(1, charges // 10)
    spent: list[float] = []
    written = [0]
    for part in range(10):
        units = (_unit(at, 1, DAY_US // charges) for at in range(1 + part * tenth, 1 + (part + 1) * tenth))
        spent.append(seconds_of(machine, units, 1 + part * tenth, written))
    memory = psutil.Process().memory_info().rss - before
    began = time.process_time()
    clock = Watermark(Origin(INTERACTIONS, 0, 2 * charges, 0), 1, START_US + 3 * DAY_US, START_US + 2 * DAY_US, {})
    _fold(machine, [clock], 1 + 10 * tenth)
    return {
        "charges_a_day": charges,
        "postings_per_second_first_tenth": round(tenth / spent[0]),
        "postings_per_second_last_tenth": round(tenth / spent[-1]),
        "written_bytes_a_posting": round(written[0] / (10 * tenth)),
        "memory_mb": round(memory / 1e6),
        "forgotten_in_seconds": round(time.process_time() - began, 2),
    }


def seconds_of(
    machine: AccountsPartition, facts: Iterable[InboxRecord], first: int, written: list[int] | None = None
) -> float:
    """CPU seconds to fold the facts and to give out what is to be written."""
    collector.calm()
    spent = 0.0
    for batch in _batches(facts, first):
        began = time.process_time()
        machine.step(batch)
        changes = machine.take_changes()
        machine.checkpoint()
        spent += time.process_time() - began
        if written is not None:
            written[0] += sum(len(key) + len(value or b"") for key, value in changes)
    gc.unfreeze()
    return spent


def _policy() -> Any:
    catalog = load_catalog()
    plenty = catalog.free_credit.model_copy(update={"amount_micros": PLENTY_MICROS})
    return policy_of(catalog.model_copy(update={"free_credit": plenty}))


def _created(workspaces: int) -> AccountsPartition:
    """A machine in which every workspace has been created by a unit of its own."""
    machine = AccountsPartition(0, _policy())
    machine.restored(None)
    gc.disable()  # the making of the workspaces is not what is measured
    _fold(machine, (_unit(at, workspaces) for at in range(workspaces)), 0)
    gc.enable()
    return machine


def _fold(machine: AccountsPartition, facts: Iterable[InboxRecord], first: int) -> None:
    for batch in _batches(facts, first):
        machine.step(batch)
        machine.take_changes()


def _let_the_welcome_lapse(machine: AccountsPartition, offset: int) -> None:
    """A clock that has passed the expiry of the welcome credit, so that the other grants are used."""
    _fold(machine, [Watermark(Origin(INTERACTIONS, 0, offset, 0), 1, LATER_US, LATER_US, {})], offset)


def _batches(facts: Iterable[InboxRecord], first: int) -> Iterator[list[RawRecord]]:
    batch: list[RawRecord] = []
    for offset, fact in enumerate(facts, first):
        batch.append(RawRecord(offset, 0, None, _encode(fact)))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _unit(at: int, workspaces: int, step_us: int = 1_000, since_us: int = START_US) -> Unit:
    name = f"w{at * _STEP % workspaces}"
    return Unit(
        Origin(INTERACTIONS, 0, at, 0), f"{at * _MIXED % 2**128:032x}", "conversation", "opened", 1, name,
        "bot", "web", "ann", "live", since_us + at * step_us, True, 1, 1,
    )  # fmt: skip


def _credit(at: int, amount_micros: int) -> Command:
    body = GrantCredit(amount_micros, "goodwill")
    return Command(f"grant-{at}", "w0", START_US + DAY_US + at * 1_000_000, Actor("operator", "olga"), body)
