"""What an app has used lately (E4): its newest day with a billed unit, and whether paid credit pays for it.

A function of the ledger, record by record. A unit is billed if its charge is paid from credit, due, or one of its
plan's included ones; what was unpublished or past what a plan sells is not. Days are the UTC days of units' starts.

Most charges change nothing here. A reversal may: then what is left is looked for among the open charges, the newest
first; of those that can no longer change, newest day and paid credit are kept.
"""

from __future__ import annotations

from collections.abc import Iterator

from schemas.instants import MICROS_PER_DAY, day_of
from streams.accounts.grants import GRANT
from streams.accounts.state import NO_DAY, AccountState, Activity, OpenCharge

ACTIVE_DAYS = 30
"""An app is inactive without a billed unit on this UTC day or the thirty before (E4, Decided)."""


def note_charge(state: AccountState, charge: OpenCharge, is_final: bool) -> None:
    """A charge was posted, or can change no more."""
    if not _is_billed(charge):
        return
    activity = state.activity.get(charge.app)
    if activity is None:
        activity = state.activity[charge.app] = Activity()
    day = charge.start_us // MICROS_PER_DAY
    if day > activity.newest_day:
        activity.newest_day = day
    if not activity.paid and _is_paid(state, charge):
        activity.paid = True
    if is_final:
        activity.final_day = max(activity.final_day, day)
        activity.final_paid = activity.final_paid or _is_paid(state, charge)


def note_paid_for_good(state: AccountState, app: str, account: str) -> None:
    """A grant paid what was owed for charges that can change no more."""
    if state.grants[account].credit == "paid":
        activity = state.activity[app]
        activity.paid = activity.final_paid = True


def note_paid(state: AccountState, app: str, account: str) -> None:
    """A grant paid what was owed for an open charge."""
    if state.grants[account].credit == "paid":
        state.activity[app].paid = True


def note_reversal(state: AccountState, reversed_: OpenCharge) -> None:
    """A charge was taken back, and all of its record is folded."""
    activity = state.activity.get(reversed_.app)
    if activity is None or not _is_billed(reversed_):
        return
    day = reversed_.start_us // MICROS_PER_DAY
    if day == activity.newest_day and day > activity.final_day:
        activity.newest_day = max(_newest_open_day(state, reversed_.app, day), activity.final_day)
    if activity.paid and not activity.final_paid and _is_paid(state, reversed_):
        activity.paid = any(_is_paid(state, charge) for charge in _open(state, reversed_.app))


def is_inactive(state: AccountState, app: str, at_us: int) -> bool:
    """E4: no billed unit in the last 30 days."""
    activity = state.activity.get(app)
    return activity is None or activity.newest_day < day_of(at_us) - ACTIVE_DAYS


def is_paid(state: AccountState, app: str) -> bool:
    """E4: paid credit has been used for the app, or is mapped to it."""
    activity = state.activity.get(app)
    return (activity is not None and activity.paid) or app in state.purse.paid


def _open(state: AccountState, app: str) -> Iterator[OpenCharge]:
    return (charge for charge in reversed(state.open.values()) if charge.app == app and _is_billed(charge))


def _newest_open_day(state: AccountState, app: str, day: int) -> int:
    newest = NO_DAY
    for charge in _open(state, app):
        newest = max(newest, charge.start_us // MICROS_PER_DAY)
        if newest >= day:
            break
    return newest


def _is_billed(charge: OpenCharge) -> bool:
    return charge.covered in ("", "included")


def _is_paid(state: AccountState, charge: OpenCharge) -> bool:
    return any(account.startswith(GRANT) and state.grants[account].credit == "paid" for account, _ in charge.parts)
