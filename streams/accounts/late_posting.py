"""What admitted late events lead to (U6): opposite entries for units that go, charges for those that come.

What a unit cost returns to the grants that paid (C8), also to one that is used up and forgotten; a unit that only moves
keeps its charge, unless another plan, price or term holds where it starts now, or a grant that paid was over by then.
What comes is priced by its start like any unit, and pays with credit that is there now.
"""

from __future__ import annotations

from collections import Counter

from schemas.changes import AppAppeared, LateAdmitted, LateCharge, LatePart, LateUnit
from schemas.commands import AdmitLate
from schemas.instants import MICROS_PER_DAY
from schemas.ledger import Charge
from streams.accounts.charging import charge_of, pass_places_on
from streams.accounts.draft import Draft
from streams.accounts.grants import FOR_EVER, GRANT, Grant
from streams.accounts.orders import Order
from streams.accounts.postings import charge, reverse
from streams.accounts.pricing import judge, past_included
from streams.accounts.state import OpenCharge


def admit(order: Order, body: AdmitLate, draft: Draft) -> None:
    """The postings of an admission that is not refused."""
    draft.changes.append(LateAdmitted(body.app, body.channel, body.user, body.events, body.units, body.after))
    units = sorted(body.units, key=lambda unit: (unit.start_us, unit.unit_id))
    taken: Counter[str] = Counter()
    charged = []
    for unit in units:
        held = unit.charge
        if held is None or not _goes(order, body, unit, held):
            charged += [unit] if held is None and unit.is_billable else []
            continue
        charged += [unit] if unit.is_billable else []
        _take_back(order, body, unit, held, draft)
        taken[held.pool] -= held.covered == "included"
    posted = []
    for unit in charged:
        verdict = judge(order.state, body.app, unit.kind, unit.start_us, None, order.policy, taken)
        if verdict is None:
            continue
        taken[verdict.pool] += verdict.covered == "included"
        posted.append(
            Charge(unit.unit_id, unit.kind, body.app, body.channel, unit.start_us, verdict.price_micros, verdict.plan,
                   covered=verdict.covered, pool=verdict.pool)
        )  # fmt: skip
    for pool, count in sorted(taken.items()):
        if count < 0:
            pass_places_on(draft, pool, -count)
    for one in posted:  # last, so that nothing is owed beside credit that came back (C6)
        charge(draft, one)
    if draft.charges and body.app not in order.state.apps:
        draft.changes.append(AppAppeared(body.app))


def _goes(order: Order, body: AdmitLate, unit: LateUnit, held: LateCharge) -> bool:
    """Whether the charge is taken back: the unit is billed no more, or not like that where it starts now (U10, C3)."""
    if not unit.is_billable:
        return True
    was, now = (
        past_included(order.state, body.app, unit.kind, at_us, order.policy) for at_us in (unit.was_us, unit.start_us)
    )
    return was != now or any(part.expires_us is not None and part.expires_us <= unit.start_us for part in held.parts)


def _take_back(order: Order, body: AdmitLate, unit: LateUnit, held: LateCharge, draft: Draft) -> None:
    for part in held.parts:
        account = GRANT + part.grant_id
        if account not in order.state.grants and account not in draft.recalled:
            draft.recalled[account] = _recalled(order, part)
    parts = tuple((GRANT + part.grant_id, part.paid_micros) for part in held.parts)
    known = OpenCharge(unit.unit_id, body.app, held.start_us, held.price_micros, held.plan, parts, held.covered,
                       held.pool, unit.kind, body.channel)  # fmt: skip
    reverse(draft, charge_of(known, is_reversed=True), known)


def _recalled(order: Order, part: LatePart) -> Grant:
    """A grant that was used up and forgotten. The warnings of its expiry that are over are not given again (A2)."""
    expires_us = FOR_EVER if part.expires_us is None else part.expires_us
    over = [days for days in order.policy.expiring_days if expires_us - days * MICROS_PER_DAY <= order.clock.now_us]
    return Grant(
        GRANT + part.grant_id, part.credit, part.given_micros, part.granted_us, expires_us, part.app,
        expired=expires_us <= order.clock.now_us, warned_days=min(over, default=None),
    )  # fmt: skip
