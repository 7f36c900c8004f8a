"""Late events that an operator bills after all (U6), each unit by the plan in force at its start, like any other.

Who counts what they add is outside (METER has forgotten the time); so nothing here can be taken back, only added, and
not before METER has closed the time. Once an event, whatever the command's id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from schemas.changes import AppAppeared, LateAdmitted, LateEvent, LateUnit
from schemas.commands import AdmitLate
from schemas.errors import excerpt
from schemas.ledger import Charge
from schemas.topics import INTERACTIONS
from streams.accounts.changing import POOLS_KEPT
from streams.accounts.draft import Draft
from streams.accounts.money import instant
from streams.accounts.orders import Order, Rule
from streams.accounts.postings import charge
from streams.accounts.pricing import judge, standing_at


def names_of(events: Iterable[LateEvent]) -> tuple[str, ...]:
    """How events are told apart: by the record they are."""
    return tuple(f"{INTERACTIONS}-{event.partition}-{event.offset}" for event in events)


def _refuse(order: Order, body: AdmitLate) -> str:
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
    return next((why for unit in body.units if (why := _refuse_unit(order, body, unit))), "")


def _refuse_unit(order: Order, body: AdmitLate, unit: LateUnit) -> str:
    name = f"units: the {unit.kind} of {instant(unit.start_us)}"
    if unit.start_us >= order.clock.final_us:
        return f"{name} lies in a time that is not closed yet (U11)."
    if not unit.delta and not unit.billable_delta:
        return f"{name} changes nothing (U6)."
    standing = standing_at(order.state, order.state.apps.get(body.app), unit.start_us, order.policy)
    if standing.pool and _is_forgotten(order, standing.pool):
        return f"{name} lies in a term whose included units are no longer known (P4)."
    return ""


def _is_forgotten(order: Order, pool: str) -> bool:
    """Whether newer terms have taken the place of this one among those that are remembered."""
    scope, _, start = pool.rpartition("@")
    terms = [key.rpartition("@") for key in order.state.used]
    starts = [int(known) for of, _, known in terms if of == scope]
    return pool not in order.state.used and len(starts) >= POOLS_KEPT and int(start) < min(starts)


def _admit(order: Order, body: AdmitLate, draft: Draft) -> None:
    draft.changes.append(LateAdmitted(body.app, body.channel, body.user, body.events, body.units, body.after))
    taken: Counter[str] = Counter()
    for unit in sorted(body.units, key=lambda unit: (unit.start_us, unit.unit_id)):
        if not unit.billable_delta:
            continue
        verdict = judge(order.state, body.app, unit.kind, unit.start_us, None, order.policy, taken)
        if verdict is None:
            continue
        if verdict.covered == "included":
            taken[verdict.pool] += 1
        charge(draft, Charge(unit.unit_id, unit.kind, body.app, body.channel, unit.start_us, verdict.price_micros,
                             verdict.plan, covered=verdict.covered, pool=verdict.pool))  # fmt: skip
    if draft.charges and body.app not in order.state.apps:
        draft.changes.append(AppAppeared(body.app))


RULES: dict[type, Rule] = {AdmitLate: Rule("late_admitted", _refuse, _admit)}
