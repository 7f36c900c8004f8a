"""Charges a late event can still correct, bucket by bucket, and what is owed for those it no longer can (C6, law 6).

All change the state they are given. An open charge `holds` the grants that paid for it: a reversal may return to them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

from schemas.instants import day_of
from streams.accounts.activity import note_charge
from streams.accounts.grants import Grant
from streams.accounts.paging import Pages
from streams.accounts.state import DUE, AccountState, DueItem, OpenCharge


def open_charge(state: AccountState, charge: OpenCharge) -> None:
    """Keep a charge open."""
    bucket = charge.bucket
    state.open[charge.unit_id] = charge
    pages = state.buckets.get(bucket)
    if pages is None:
        pages = state.buckets[bucket] = Pages()
    charge.page = pages.add(charge.unit_id)
    state.touched[bucket, charge.page] = None
    _index(state, charge)


def _index(state: AccountState, charge: OpenCharge) -> None:
    if charge.pool and charge.covered != "included":
        insort(state.past.setdefault(charge.pool, []), (charge.start_us, charge.unit_id))
    for account, _ in charge.parts:
        if account.startswith(DUE):
            state.owing.add(charge.unit_id)
        else:
            state.grants[account].holds += 1


def close_charge(state: AccountState, charge: OpenCharge) -> None:
    """Keep it no longer."""
    bucket = charge.bucket
    del state.open[charge.unit_id]
    state.buckets[bucket].remove(charge.page, charge.unit_id)
    if not state.buckets[bucket].rows:
        del state.buckets[bucket]
    state.touched[bucket, charge.page] = None
    if charge.pool and charge.covered != "included":
        _take_from_past(state, charge)
    state.owing.discard(charge.unit_id)
    for account, _ in charge.parts:
        if not account.startswith(DUE):
            state.grants[account].holds -= 1


def move_charge(state: AccountState, unit_id: str, start_us: int) -> None:
    """Its unit starts at another instant, at the same price."""
    charge = state.open[unit_id]
    close_charge(state, charge)
    charge.start_us = start_us
    open_charge(state, charge)


def _take_from_past(state: AccountState, charge: OpenCharge) -> None:
    row = state.past[charge.pool]
    del row[bisect_left(row, (charge.start_us, charge.unit_id))]
    if not row:
        del state.past[charge.pool]


def reopen(state: AccountState, charges: Iterable[OpenCharge]) -> None:
    """Take back open charges from the changelog, each on its page."""
    for charge in charges:
        state.open[charge.unit_id] = charge
        pages = state.buckets.get(charge.bucket)
        if pages is None:
            pages = state.buckets[charge.bucket] = Pages()
        pages.put(charge.page, charge.unit_id)
        _index(state, charge)


def forget(state: AccountState, bucket: int) -> None:
    """The charges of a bucket can no longer change: drop them, and the grants that nothing can touch any more."""
    for unit_id in [unit_id for row in state.buckets[bucket].rows.values() for unit_id in row]:
        charge = state.open[unit_id]
        note_charge(state, charge, is_final=True)
        close_charge(state, charge)
        if charge.due_micros:
            owe_for_good(state, charge.start_us, charge.app, charge.due_micros)
    for account in [account for account in state.spent if not state.grants[account].holds]:
        state.drop_grant(state.grants[account])


def pay(state: AccountState, charge: OpenCharge, grant: Grant, amount_micros: int) -> None:
    """A grant pays what was due of an open charge, in whole or in part."""
    parts = dict(charge.parts)
    due = DUE + charge.app
    parts[due] -= amount_micros
    if parts[due] == 0:
        del parts[due]
        state.owing.discard(charge.unit_id)
    if grant.account not in parts:
        grant.holds += 1
    parts[grant.account] = parts.get(grant.account, 0) + amount_micros
    charge.parts = tuple(parts.items())
    state.touched[charge.bucket, charge.page] = None


def owe_for_good(state: AccountState, start_us: int, app: str, amount_micros: int) -> None:
    """What is due of a charge that can no longer change: summed by day and app."""
    key = (day_of(start_us), app)
    state.old_due[key] = state.old_due.get(key, 0) + amount_micros


def pay_for_good(state: AccountState, item: DueItem, amount_micros: int) -> None:
    """Such a sum is paid, in whole or in part."""
    key = (item.day, item.app)
    state.old_due[key] -= amount_micros
    if state.old_due[key] == 0:
        del state.old_due[key]
