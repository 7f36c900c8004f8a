"""L2: any edited byte, missing record and swapped pair in a ledger is found."""

from __future__ import annotations

import msgspec
import pytest

from schemas.ledger import Line, decode_ledger, encode_ledger, seal
from schemas.topics import LEDGER
from streams.accounts.verifying import Head, verify
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
    return [str(fault) for fault in verify(3, enumerate(values))]


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
    assert found([b"{}"])[0].startswith("ledger-3@0: no ledger record: ")
    (gap,) = found([values[0], values[5]])
    assert gap == "ledger-3@1: record 4 of acme follows 1: 2 missing, or out of place"


def test_what_accounts_has_posted_and_the_ledger_lacks_at_its_end_is_found(values: list[bytes]) -> None:
    """L1: all of a workspace, or its last record."""
    heads = {name: Head(4, decode_ledger(values[at]).hash) for name, at in (("acme", 7), ("globex", 8))}
    heads["acme"] = Head(5, heads["acme"].hash)
    assert verify(3, enumerate(values), heads) == []
    (last,) = verify(3, enumerate(values[:-1]), heads)
    assert str(last) == "ledger-3: record 4 of globex is missing, with all after 3: ACCOUNTS has posted it"
    (other,) = verify(3, enumerate(values), {"initech": Head(2, "x")})
    assert (other.workspace, other.sequence, other.offset) == ("initech", 2, None)


def test_records_sealed_anew_are_found_by_their_sums_by_their_place_and_by_what_accounts_posted(
    values: list[bytes],
) -> None:
    """L1, L2: whoever edits the last record and computes its hash again has not ACCOUNTS' state."""
    last = decode_ledger(values[-1])
    heads = {"globex": Head(last.sequence, last.hash)}
    lines = (Line(last.lines[0].account, 1, 1), *last.lines[1:])
    edited = encode_ledger(seal(msgspec.structs.replace(last, lines=lines)))
    found = [fault.what for fault in verify(3, enumerate([*values[:-1], edited]), heads)]
    assert found[0].startswith("has lines that sum to ")
    assert found[1:] == ["is not the one that ACCOUNTS posted"]
    assert {fault.what for fault in verify(2, enumerate(values))} == {"belongs in partition 3"}
