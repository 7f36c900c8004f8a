"""Whether a command that bills late events (U6) has a form that the account, its ledger and its readers can hold.

What it tells of charges and grants becomes part of the account, so a number, a name or a record that is too large must
be refused before: the partition would stop at it for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from schemas.changes import LateCharge, LatePart, LateUnit
from schemas.commands import AdmitLate
from schemas.errors import excerpt
from streams.accounts.grants import FOR_EVER, GRANT
from streams.accounts.plausible import implausible

MOST_BYTES: Final = 128 * 1024
"""Of the command's body. Its ledger record tells all of it, with up to three lines for each part, and the broker takes
records of 1 MiB at most."""
_MOST_ACCOUNT: Final = 256
"""Characters of a ledger account's name."""


def parts_of(charge: LateCharge | None) -> tuple[LatePart, ...]:
    """Who paid for a charge."""
    return () if charge is None else charge.parts


def refuse_form(body: AdmitLate) -> str:
    """Why its form is refused, as a sentence; "" if it is not."""
    size = len(msgspec.json.encode(body))
    if size > MOST_BYTES:
        return f"body: {size} bytes are more than {MOST_BYTES}; admit fewer events at once (U6)."
    for name, instant_us in _starts(body):
        if why := implausible(name, instant_us):
            return why
    for name, number in _numbers(body):
        if number >= FOR_EVER:
            return f"{name}: {number} is implausible (C7)."
    for part in _parts(body):
        if len(GRANT + part.grant_id) > _MOST_ACCOUNT:
            return f"grant_id: {excerpt(part.grant_id)} is longer than an account's name can be (L1)."
    return ""


def _parts(body: AdmitLate) -> Iterator[LatePart]:
    for unit in body.units:
        yield from parts_of(unit.charge)


def _starts(body: AdmitLate) -> Iterator[tuple[str, int]]:
    for unit in body.units:
        yield from _starts_of(unit)
    if body.until_us:
        yield "until_us", body.until_us


def _starts_of(unit: LateUnit) -> Iterator[tuple[str, int]]:
    yield "start_us", unit.start_us
    yield "from_us", unit.was_us
    if unit.charge is not None:
        yield "charge.start_us", unit.charge.start_us


def _numbers(body: AdmitLate) -> Iterator[tuple[str, int]]:
    for event in body.events:
        yield "partition", event.partition
        yield "offset", event.offset
    for part in _parts(body):
        yield "given_micros", part.given_micros
        yield "granted_us", part.granted_us
        yield "expires_us", part.expires_us or 0
