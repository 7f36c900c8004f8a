"""Ordinary charges go column by column; their rows are those that every other ledger record's way would give."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from projections.loader import tables
from projections.loader.account_rows import add_ledger
from projections.loader.blocks import Blocks
from projections.loader.marks import Marks
from projections.loader.records import Record, Run, TopicPartition
from projections.loader.rows import build_rows
from schemas import topics
from schemas.commands import AddFunds, CreateWorkspace
from schemas.ledger import decode_ledger, encode_ledger
from tests.projections.whole_world import HOUR, MINUTE, T0, USD, WholeWorld


def ledger() -> list[Record]:
    """Charges of one grant, one that two grants share, charges nobody can pay and their settlement, a reversal."""
    world = WholeWorld()
    world.order(T0, CreateWorkspace("olga"))
    for minute in (0, 26, 13):  # the third joins the other two
        world.say(T0 + HOUR + minute * MINUTE, "ann")
    for number in range(2600):  # more than the welcome credit pays for
        world.say(T0 + 2 * HOUR + number * MINUTE, f"user {number}")
    world.order(T0 + 50 * HOUR, AddFunds(1000 * USD, "p1"))
    return [
        record for place, records in world.log.records.items() if place.topic == topics.LEDGER for record in records
    ]


def rows_of(records: list[Record], *, apart: bool) -> dict[str, Counter[tuple[Any, ...]]]:
    """All rows by table, ordinary charges made apart or like everything else."""
    blocks = Blocks(Marks(), checks=not apart)
    for record in records:
        add_ledger(blocks, record)
    assert bool(blocks.charges) is apart
    blocks.end_run()
    columns = blocks.all_rows().columns
    return {name: Counter(zip(*found, strict=True)) for name, found in columns.items()}


def test_ordinary_charges_fill_the_rows_that_the_general_way_gives() -> None:
    """L1, T1; forged ones too (L2), and the same again is dropped (law 3)."""
    records = ledger()
    forged = msgspec.structs.replace(decode_ledger(records[5].value), note="nothing to see")
    records[5] = msgspec.structs.replace(records[5], value=encode_ledger(forged))
    records += records[-3:]
    apart, alike = rows_of(records, apart=True), rows_of(records, apart=False)
    assert apart == alike
    at = tables.LEDGER_PARTS.columns.index("what")
    assert {row[at] for row in apart[tables.LEDGER_PARTS.name]} == {"issued", "charged", "returned", "settled"}
    at = tables.LEDGER_ENTRIES.columns.index("intact")
    assert Counter(row[at] for row in apart[tables.LEDGER_ENTRIES.name].elements())[False] == 1


def test_a_number_too_large_makes_an_error_of_its_charge_and_rows_of_the_others() -> None:
    """Found in a column, so all rows are made again with a check of each."""
    records = ledger()[:30]
    whole = decode_ledger(records[20].value)
    balances = msgspec.structs.replace(whole.balances, free_micros=1 << 64)
    records[20] = msgspec.structs.replace(
        records[20], value=encode_ledger(msgspec.structs.replace(whole, balances=balances))
    )
    place = TopicPartition(topics.LEDGER, records[0].partition)
    columns = build_rows([Run(place, records)], Marks(), 2).columns
    assert len(columns[tables.LEDGER_ENTRIES.name][0]) == 29
    assert len(columns[tables.LOAD_ERRORS.name][0]) == 1
