"""Late events that an operator bills after all (U6): why they are refused. What they lead to is `late_posting`.

METER has closed the time, so who gives the command has counted anew what the units would be, and tells for each unit
that goes or moves what the ledger has for it: who paid is forgotten here (law 6). What is known here is compared, and
nothing is touched that an event in time could still change: METER would count on from what it knows, and the unit be
billed twice. Once an event, whatever the command's id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from schemas.changes import LateEvent, LatePart, LateUnit
from schemas.commands import AdmitLate
from schemas.errors import excerpt
from schemas.instants import day_of
from schemas.topics import INTERACTIONS
from streams.accounts.changing import POOLS_KEPT
from streams.accounts.grants import FOR_EVER, GRANT
from streams.accounts.late_form import parts_of, refuse_form
from streams.accounts.late_posting import admit
from streams.accounts.money import instant, usd
from streams.accounts.orders import Order, Rule, short
from streams.accounts.pricing import past_included, standing_at
from streams.accounts.state import AccountState


def names_of(events: Iterable[LateEvent]) -> tuple[str, ...]:
    """How events are told apart: by the record they are."""
    return tuple(f"{INTERACTIONS}-{event.partition}-{event.offset}" for event in events)


def _refuse(order: Order, body: AdmitLate) -> str:
    why = refuse_form(body)
    if why:
        return why
    admitted = order.state.admitted
    for name in names_of(body.events):
        if name in admitted:
            return f"events: {name} was admitted before, by command {excerpt(admitted[name])} (U6)."
    if body.after != len(admitted):
        return (
            f"after: {len(admitted)} late events are admitted by now, not {body.after}; count what is added anew (U5)."
        )
    for field, names in (
        ("events", names_of(body.events)),
        ("units", [f"{unit.kind} {unit.unit_id}" for unit in body.units]),
    ):
        twice = next((name for name, count in Counter(names).items() if count > 1), None)
        if twice is not None:
            return f"{field}: {excerpt(twice)} is named twice (U7)."
    if body.until_us and body.until_us >= order.clock.complete_us:
        return f"until: events up to {instant(body.until_us)} may still arrive and change the units (U11)."
    why = next((why for unit in body.units if (why := _refuse_unit(order, body, unit))), "")
    return why or _refuse_parts(order, body)


def _refuse_unit(order: Order, body: AdmitLate, unit: LateUnit) -> str:
    name = f"units: the {unit.kind} of {instant(unit.start_us)}"
    if max(unit.start_us, unit.was_us) >= order.clock.final_us or unit.unit_id in order.state.open:
        return f"{name} lies in a time that is not closed yet (U11)."
    if not unit.delta and not unit.billable_delta and unit.from_us is None:
        return f"{name} changes nothing (U6)."
    if not _is_possible(unit):
        return f"{name} becomes what no unit becomes: it comes, goes, or moves within its day (U5)."
    app = order.state.apps.get(body.app)
    pools = [standing_at(order.state, app, at_us, order.policy).pool for at_us in (unit.start_us, unit.was_us)]
    if any(pool and _is_forgotten(order, pool) for pool in pools):
        return f"{name} lies in a term whose included units are no longer known (P4)."
    why = _refuse_charge(order, body, unit)
    return f"{name} {why}" if why else ""


def _is_possible(unit: LateUnit) -> bool:
    """Whether a unit comes (and has no past), goes (and is billable no more), or stays and moves within its UTC day."""
    if unit.stays_billable and (unit.delta or unit.billable_delta):
        return False
    if unit.delta:
        return unit.from_us is None and unit.delta * unit.billable_delta >= 0
    return day_of(unit.was_us) == day_of(unit.start_us)


def _refuse_charge(order: Order, body: AdmitLate, unit: LateUnit) -> str:
    """Whether the charge that is told is one that the unit can have."""
    charge = unit.charge
    past = past_included(order.state, body.app, unit.kind, unit.was_us, order.policy) if unit.was_billable else None
    if charge is None or past is None:
        told = "no charge" if charge is None else "a charge"
        return "" if charge is None and past is None else f"cannot have {told}; count it anew (U10)."
    is_included = charge.covered == "included" and past.pool != "" and charge.price_micros == 0
    if (charge.plan, charge.pool) != (past.plan, past.pool) or not (
        is_included or (charge.price_micros, charge.covered) == (past.price_micros, past.covered)
    ):
        return f"cannot cost {usd(charge.price_micros)} on plan {excerpt(charge.plan)}; count it anew (P1)."
    paid = sum(part.paid_micros for part in charge.parts)
    if paid != charge.price_micros or len({part.grant_id for part in charge.parts}) < len(charge.parts):
        return f"costs {usd(charge.price_micros)}, of which credit is known to have paid {usd(paid)} (C6, C8)."
    return ""


def _refuse_parts(order: Order, body: AdmitLate) -> str:
    """Whether the grants are what is told of them, and would hold no more than was given."""
    back: Counter[str] = Counter()
    told: dict[str, LatePart] = {}
    for part in (part for unit in body.units for part in parts_of(unit.charge)):
        back[part.grant_id] += part.paid_micros
        first = told.setdefault(part.grant_id, part)
        grant = order.state.grants.get(GRANT + part.grant_id)
        facts = (part.credit, part.given_micros, part.granted_us, part.expires_us, part.app)
        known = (first.credit, first.given_micros, first.granted_us, first.expires_us, first.app)
        left = 0
        if grant is not None:
            left = grant.remaining_micros
            expires_us = None if grant.expires_us == FOR_EVER else grant.expires_us
            known = (grant.credit, grant.amount_micros, grant.granted_us, expires_us, grant.app)  # type: ignore[assignment]
        is_ours = grant is not None or first is not part or _was_granted(order.state, part.grant_id)
        if facts != known or not is_ours or part.app not in (None, body.app):
            return f"units: grant {excerpt(part.grant_id)} is another one than was counted; count anew (C8)."
        if left + back[part.grant_id] > part.given_micros:
            return f"units: grant {excerpt(part.grant_id)} would hold more than it was given (L1)."
    return ""


def _was_granted(state: AccountState, grant_id: str) -> bool:
    """Whether a grant that is no longer known can have been one of the workspace (C8): it is named after the payment or
    the command that brought it, and those are known."""
    kind, _, name = grant_id.removeprefix(f"{state.workspace}/").partition("/")
    if not grant_id.startswith(f"{state.workspace}/") or kind not in ("payment", "grant", "move"):
        return grant_id == f"{state.workspace}/welcome"
    known = (state.payments, state.asked) if kind == "payment" else (state.commands,)
    return any(name in ids or any(short(one) == name for one in ids) for ids in known)


def _is_forgotten(order: Order, pool: str) -> bool:
    """Whether newer terms have taken the place of this one among those that are remembered."""
    scope, _, start = pool.rpartition("@")
    terms = [key.rpartition("@") for key in order.state.used]
    starts = [int(known) for of, _, known in terms if of == scope]
    return pool not in order.state.used and len(starts) >= POOLS_KEPT and int(start) < min(starts)


RULES: dict[type, Rule] = {AdmitLate: Rule("late_admitted", _refuse, admit)}
