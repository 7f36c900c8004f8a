"""L2: any edited byte, missing record and swapped pair in a ledger is found."""

from __future__ import annotations

import pytest

from schemas.topics import LEDGER
from streams.accounts.verifying import verify
from tests.accounts.story import Story, Teller, create, funds


@pytest.fixture(scope="module")
def values() -> list[bytes]:
    """The ledger of two workspaces."""
    story, teller = Story(), Teller()
    story.tell(create(), create(workspace="globex"), funds(10**8, "f"))
    story.tell(*(teller.unit(f"u{i}", workspace=("acme", "globex")[i % 2]) for i in range(6)))
    return [output.value or b"" for output in story.outputs if output.topic == LEDGER]


def found(values: list[bytes]) -> list[str]:
    """What is wrong with a ledger."""
    return verify((f"ledger-0@{at}", value) for at, value in enumerate(values))


def test_a_whole_ledger_and_one_with_repeats_have_no_fault(values: list[bytes]) -> None:
    """Law 3."""
    assert found(values) == []
    assert found([*values, values[1], values[-1]]) == []


def test_every_edited_byte_is_found(values: list[bytes]) -> None:
    """L2: whatever it is changed to, wherever it stands."""
    for at, value in enumerate(values):
        for position in range(len(value)):
            for mask in (1, 32):
                edited = value[:position] + bytes([value[position] ^ mask]) + value[position + 1 :]
                assert found([*values[:at], edited, *values[at + 1 :]]), f"byte {position} of record {at}"


def test_every_missing_record_but_the_last_of_a_workspace_and_every_swapped_pair_is_found(values: list[bytes]) -> None:
    """L1: the last one is missed by nobody but the state, whose sequence is higher."""
    for at in range(len(values) - 2):
        assert found([*values[:at], *values[at + 1 :]]), at
        swapped = [*values]
        swapped[at], swapped[at + 2] = swapped[at + 2], swapped[at]
        assert found(swapped), at


def test_a_fault_is_named_with_its_place(values: list[bytes]) -> None:
    assert found([b"{}"])[0].startswith("ledger-0@0: no ledger record: ")
    (gap,) = found([values[0], values[5]])
    assert gap == "ledger-0@1: record 4 of acme follows 1: 2 missing, or out of place"
