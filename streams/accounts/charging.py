"""Units to charges (P1, U10, U12): charge, reverse, or both in one record when a correction changes the price.

A unit event is the unit's whole state, so it is compared with the charge remembered for that unit. Nothing is
remembered of a unit that starts before the clock's `final_us`: METER's promise is that it cannot change any more. The
exception is one that becomes billable late (U12): its `billable_delta` says so, and it is charged.
"""

from __future__ import annotations

from msgspec.structs import replace

from schemas.changes import AppAppeared
from schemas.instants import day_of
from schemas.ledger import Charge, EntryKind
from schemas.units import Unit
from streams.accounts.creating import CREATED_BY_USE, create
from streams.accounts.decision import Decision, Moment
from streams.accounts.draft import Draft
from streams.accounts.outcome import posted, unchanged
from streams.accounts.policy import Policy
from streams.accounts.postings import charge, reverse, settle
from streams.accounts.pricing import Verdict, judge
from streams.accounts.state import AccountState, OpenCharge


def decide_unit(state: AccountState, unit: Unit, moment: Moment, policy: Policy) -> Decision:
    """What a unit event leads to."""
    held = state.open.get(unit.unit_id)
    final = unit.start_us < moment.clock.final_us
    # Seen before, and rejections.
    if unit.change == "closed":
        return _unchanged_or_created(state, unit, moment, policy)
    verdict = judge(state, unit.app, unit.kind, unit.start_us, held, policy)
    wanted = verdict if unit.billable and unit.change != "retracted" else None
    if held is None:
        if final and unit.billable_delta == -1 and verdict is not None:
            return Decision(state.raised, aside="the unit is final: a charge that starts so early cannot change")
        if wanted is None or (final and unit.billable_delta != 1):
            return _unchanged_or_created(state, unit, moment, policy)
    elif wanted == _verdict_of(held) and not _needs_another_charge(state, held, unit.start_us):
        moves = unit.start_us != held.start_us and not final
        return Decision(state.raised, moved=(unit.unit_id, unit.start_us) if moves else None)
    # From here it must succeed.
    draft = Draft(state, moment.clock)
    is_new = state.created_us is None
    if is_new:
        create(draft, unit.start_us, policy)
    if unit.app not in state.apps:
        draft.changes.append(AppAppeared(unit.app))
    replaced = [unit.unit_id]
    if held is not None:
        reverse(draft, charge_of(held, is_reversed=True), held)
        if held.covered == "included" and (wanted is None or (wanted.covered, wanted.pool) != ("included", held.pool)):
            pass_places_on(draft, held.pool, 1)
        replaced += draft.replaced
    if wanted is not None:
        charge(draft, Charge(unit.unit_id, unit.kind, unit.app, unit.channel, unit.start_us, wanted.price_micros,
                             wanted.plan, covered=wanted.covered, pool=wanted.pool))  # fmt: skip
    settle(draft, without=replaced)
    kind: EntryKind = "charge" if wanted is not None else "reversal"
    note = CREATED_BY_USE if is_new else ""
    return posted(draft, moment, policy, kind, unit.start_us, unit.unit_id, note=note)


def pass_places_on(draft: Draft, pool: str, count: int) -> None:
    """Places among the included units that come free go to the oldest open charges past them, in the same record (P4):
    their price is given back."""
    for _, unit_id in draft.state.past.get(pool, ())[:count]:
        other = draft.state.open[unit_id]
        reverse(draft, charge_of(other, is_reversed=True), other)
        charge(draft, replace(charge_of(other), price_micros=0, covered="included"))
        draft.replaced.append(unit_id)


def _unchanged_or_created(state: AccountState, unit: Unit, moment: Moment, policy: Policy) -> Decision:
    """No charge: but the first unit of an unknown workspace still creates it."""
    if state.created_us is not None:
        return unchanged(state)
    draft = Draft(state, moment.clock)
    create(draft, unit.start_us, policy)
    return posted(draft, moment, policy, "workspace_created", unit.start_us, unit.unit_id, note=CREATED_BY_USE)


def _needs_another_charge(state: AccountState, held: OpenCharge, start_us: int) -> bool:
    """Whether a moved start changes more than the start: the day it counts for (C11, E4), which grants the unit may use
    (C3), or whose turn it is to be settled (C6). Then the ledger must show it: the charge is reversed and posted anew,
    at the same price."""
    if day_of(start_us) != day_of(held.start_us):
        return True
    if start_us == held.start_us or held.price_micros == 0:
        return False
    if held.due_micros:
        return True
    first, last = min(start_us, held.start_us), max(start_us, held.start_us)
    soonest = next(state.purse.free_after(first), None)
    grants = [state.grants[account] for account, _ in held.parts]
    return any(first < grant.expires_us <= last for grant in ([soonest, *grants] if soonest else grants))


def _verdict_of(held: OpenCharge) -> Verdict:
    return Verdict(held.plan, held.price_micros, held.covered, held.pool)


def charge_of(held: OpenCharge, is_reversed: bool = False) -> Charge:
    """The charge as it was posted, to be taken back or posted anew."""
    return Charge(held.unit_id, held.kind, held.app, held.channel, held.start_us, held.price_micros, held.plan,
                  is_reversed, held.covered, held.pool)  # fmt: skip
