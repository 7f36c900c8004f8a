"""The lane of an account: the few figures that an ordinary charge reads and writes, apart from all else.

A charge is ordinary when one grant pays it whole and nothing else follows from it: no threshold is crossed, no grant is
used up, nothing is told, nothing is owed. Most are. The lane says up to where that holds, so an ordinary charge looks
at nothing else, and only the lane is written for it.

Law it keeps: `enter` is a function of the account alone, and any fact that is no ordinary charge leaves the lane first
and enters it again afterwards; so account and lane as written are a function of the input prefix (law 2), wherever a
batch was cut. Leaves to others: the charge itself (`ordinary`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
from itertools import chain

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from schemas.instants import MICROS_PER_DAY
from streams.accounts.grants import Grant
from streams.accounts.policy import Policy
from streams.accounts.postings import USAGE
from streams.accounts.standing import shared_micros
from streams.accounts.state import BEFORE_ALL, AccountState, Activity, OpenCharge

MAX_APPS = 16
"""An account with more apps than that is looked at itself for them."""


class Lane(Struct, array_like=True, gc=False):
    """`account` is the grant that pays for units which start from `since_us` on and before `expires_us`; below
    `least_micros` what remains of it must not fall within the lane. `apps` may use it; None: see the account (they are
    many).
    `has_spent`: a grant is used up and goes once the charges that used it are final. `usage` are the totals by kind of
    unit, `daily` as in the account."""

    sequence: int
    last_hash: str
    newest_us: int
    as_of_us: int
    free_micros: int
    paid_shared_micros: int
    paid_apps_micros: int
    account: str
    since_us: int
    expires_us: int
    remaining_micros: int
    least_micros: int
    is_free: bool
    has_spent: bool
    apps: dict[str, Activity] | None
    usage: dict[str, int]
    daily: dict[int, tuple[int, int]]


encode_lane = msgspec.msgpack.Encoder().encode
decode_lane = msgspec.msgpack.Decoder(Lane).decode


def enter(state: AccountState, policy: Policy) -> Lane | None:
    """The lane of an account as it stands; None where no charge is an ordinary one."""
    if (
        state.created_us is None
        or state.contracts
        or state.raised
        or state.told_raised
        or state.auto is not None
        or state.thresholds is not None
        or state.due_micros
        or not state.plain_apps
    ):
        return None
    free = state.purse.free
    at = bisect_left(free, True, key=_is_alive)
    grant = next(chain(free[at : at + 1], state.purse.paid.get(None, ())), None)
    if grant is None:
        return None
    low, high = state.band
    shared = shared_micros(state)
    # So much may be charged: some of the grant stays, no threshold is reached, and no step of what is told is left.
    spare = min(grant.remaining_micros - 1, state.available_micros - policy.low_balance_micros - 1, shared - low)
    if spare <= 0 or shared >= high:
        return None
    apps: dict[str, Activity] | None = None
    if len(state.apps) <= MAX_APPS:
        usual = ((app, usual_app(state, app)) for app in sorted(state.plain_apps))
        apps = {app: replace(activity) for app, activity in usual if activity is not None}
    return Lane(
        state.sequence, state.last_hash, state.newest_us, state.as_of_us,
        state.free_micros, state.paid_shared_micros, state.paid_apps_micros,
        grant.account, free[at - 1].expires_us if at else BEFORE_ALL, grant.expires_us,
        grant.remaining_micros, grant.remaining_micros - spare,
        grant.is_free, bool(state.spent), apps,
        {account[len(USAGE):]: total for account, total in sorted(state.totals.items()) if account.startswith(USAGE)},
        dict(sorted(state.daily.items())),
    )  # fmt: skip


def usual_app(state: AccountState, app: str) -> Activity | None:
    """What an app has used lately (E4), if an ordinary charge may be for it: it has no credit of its own, is on the
    default plan always, and nothing that was told of it changes with a unit of a day that it had units on."""
    told, activity = state.entitled.get(app), state.activity.get(app)
    if told is None or activity is None or app not in state.plain_apps or app in state.purse.paid:
        return None
    return activity if not told.inactive and told.paid == activity.paid else None


def note_final(lane: Lane, charges: Collection[OpenCharge]) -> bool:
    """Charges can no longer change: the activity in the lane remembers them (E4). False, and nothing done, if the lane
    does not know enough for that."""
    if lane.apps is None:
        return False
    for charge in charges:
        activity = lane.apps.get(charge.app)
        if activity is None or len(charge.parts) != 1:
            return False
        if activity.paid and not activity.final_paid and charge.parts[0][0] != lane.account:
            return False
    for charge in charges:
        activity = lane.apps[charge.app]
        activity.final_day = max(activity.final_day, charge.start_us // MICROS_PER_DAY)
        if activity.paid and not lane.is_free and charge.parts[0][0] == lane.account:
            activity.final_paid = True
    return True


def _is_alive(grant: Grant) -> bool:
    return not grant.expired


def leave(state: AccountState, lane: Lane) -> None:
    """The account as the lane's charges made it."""
    grant = state.grants[lane.account]
    spent = grant.remaining_micros - lane.remaining_micros
    if spent:
        grant.remaining_micros = lane.remaining_micros
        state.touched_grants[grant.page] = None
        state.available_micros -= spent
    state.sequence, state.last_hash = lane.sequence, lane.last_hash
    state.newest_us, state.as_of_us = lane.newest_us, lane.as_of_us
    state.free_micros, state.paid_shared_micros = lane.free_micros, lane.paid_shared_micros
    state.totals.update((USAGE + kind, total) for kind, total in lane.usage.items())
    state.daily = lane.daily
    state.activity.update(lane.apps or {})
