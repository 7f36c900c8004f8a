"""The grant and due lines of a ledger record, each with the posting it belongs to (T1: who paid for what).

A record's lines are postings, one after the other; a posting ends where its lines sum to zero, and the account it
passes credit to or from says what it is (`schemas.ledger`). `usage:*` postings come in the order of its charges.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from schemas.ledger import Charge, LedgerRecord, Line

_WHAT = {"issued": "issued", "lapsed": "lapsed", "due": "settled", "grant": "moved"}
_TELLING = ("usage", *_WHAT)
_NO_UNIT = ("", "", "", "")


Place = tuple[int, int]
"""Partition and offset of a record."""


def parts_of(place: Place, entry: LedgerRecord) -> list[tuple[Any, ...]]:
    """Rows of `ledger_parts`: partition, offset, index, workspace, sequence, time, what, account, amount, app,
    channel, unit kind, unit id, start, units."""
    partition, offset = place
    workspace, sequence, time_us = entry.workspace, entry.sequence, entry.time_us
    charges = iter(entry.charges)
    found: list[tuple[Any, ...]] = []
    for posting in _postings(entry.lines):
        names = [line.account.partition(":")[0] for line in posting]
        telling = next((name for name in _TELLING if name in names), names[0])
        charge = next(charges, None) if telling == "usage" else None
        what, units = _what(telling, charge), _units(charge)
        for line in posting:
            if line.account.startswith(("grant:", "due:")):
                found.append(
                    (
                        partition, offset, len(found), workspace, sequence, time_us, what, line.account,
                        line.amount_micros, *_unit(line, charge, time_us), units,
                    )
                )  # fmt: skip
                units = 0  # a unit counts with the credit that paid its first part
    return found


def _postings(lines: Sequence[Line]) -> Iterator[Sequence[Line]]:
    if len(lines) == 2 and lines[0].amount_micros == -lines[1].amount_micros != 0:
        yield lines  # the ordinary one
        return
    begin = total = 0
    for end, line in enumerate(lines, start=1):
        total += line.amount_micros
        if total == 0:
            yield lines[begin:end]
            begin = end
    if begin < len(lines):  # lines that do not sum to zero are a difference of the reconciliation, not lost here
        yield lines[begin:]


def _what(telling: str, charge: Charge | None) -> str:
    """What a posting is by the account that tells it; one of a kind that is not known here goes by its name."""
    if charge is None:
        return _WHAT.get(telling, telling)
    return "returned" if charge.reversed else "charged"


def _unit(line: Line, charge: Charge | None, time_us: int) -> tuple[Any, ...]:
    if charge is not None:
        return charge.app, charge.channel, charge.unit_kind, charge.unit_id, charge.start_us
    kind, _, name = line.account.partition(":")
    return (name if kind == "due" else "", *_NO_UNIT[1:], time_us)


def _units(charge: Charge | None) -> int:
    if charge is None:
        return 0
    return -1 if charge.reversed else 1
