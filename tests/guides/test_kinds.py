"""Who adds a kind of unit or of ledger entry and forgets a step of the guide hears of it here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

from schemas.ledger import EntryKind
from schemas.plans import Price
from schemas.units import UnitKind

SAMPLES = Path(__file__).parents[1] / "schemas" / "samples"


def kinds_in_samples(topic: str) -> set[str]:
    """Every `kind` that a sample of the topic has."""
    files = SAMPLES.glob(f"*/{topic}.jsonl")
    records = [json.loads(line) for file in files for line in file.read_bytes().splitlines()]
    return {record["kind"] for record in records if "kind" in record}


def test_each_ledger_entry_kind_has_a_sample() -> None:
    assert set(get_args(EntryKind)) - kinds_in_samples("ledger") == set()


def test_each_unit_kind_has_a_sample() -> None:
    assert set(get_args(UnitKind)) - kinds_in_samples("account.inbox") == set()


def test_each_unit_kind_can_have_a_price() -> None:
    assert set(get_args(UnitKind)) == set(get_args(Price.model_fields["unit"].annotation))
