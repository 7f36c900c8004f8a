"""`apply(state, record) -> state`: fold a ledger record into the state it owns, and give it back.

The ledger is the truth (law 5): folding a workspace's records, in order, gives its balances, due parts included. What
only memory holds (command ids, alerts raised) comes with a decision, which `commit` folds whole.
"""

from __future__ import annotations

from collections.abc import Iterator

from schemas.changes import LateAdmitted
from schemas.instants import MICROS_PER_DAY
from schemas.ledger import Charge, LedgerRecord, Line
from streams.accounts.activity import note_charge, note_paid, note_paid_for_good, note_reversal
from streams.accounts.changing import fold_change, take_place
from streams.accounts.decision import Decision
from streams.accounts.grants import GRANT, grant_of
from streams.accounts.open_charges import close_charge, move_charge, open_charge, owe_for_good, pay, pay_for_good
from streams.accounts.postings import USAGE
from streams.accounts.state import DUE, AccountState, Clock, OpenCharge

_EVERYTHING_IS_OPEN = Clock()
DAYS_KEPT = 10
"""Days with charges that are summed for the burn rate: the seven that count, and those not over yet."""


def commit(state: AccountState, decision: Decision, clock: Clock) -> AccountState:
    """Fold a decision: its record, and what is remembered beside it."""
    for grant in decision.recalled:
        state.keep_grant(grant)
    if decision.record is not None:
        apply(state, decision.record, clock)
    if decision.moved is not None:
        move_charge(state, *decision.moved)
    if decision.seen is not None and decision.record is not None:
        what = "stranger" if decision.stranger else "command"
        state.take((what, *decision.seen, decision.record.origin.offset))
    if decision.payment is not None:
        state.take(("payment", *decision.payment, 0))
    for name in decision.admitted:
        assert decision.record is not None, "they are admitted in a record"
        state.take(("event", name, decision.record.cause, 0))
    state.raised = decision.raised
    return state


def apply(state: AccountState, record: LedgerRecord, clock: Clock = _EVERYTHING_IS_OPEN) -> AccountState:
    """Fold one ledger record. A charge that starts before the clock's `final_us` is not kept open."""
    state.sequence = record.sequence
    state.last_hash = record.hash
    if record.kind == "command_refused":
        return state
    if state.created_us is None:
        state.created_us = record.time_us
    state.as_of_us = max(state.as_of_us, record.time_us)
    for change in record.changes:
        fold_change(state, change)
    for opened in record.grants:
        grant = grant_of(opened, clock.now_us)
        state.keep_grant(grant)
        if not opened.moved:
            state.last_added_micros = opened.amount_micros
    for line in record.lines:
        _fold_line(state, line)
    balances = record.balances
    state.free_micros = balances.free_micros
    state.paid_shared_micros = balances.paid_shared_micros
    state.paid_apps_micros = balances.paid_apps_micros
    state.due_micros = balances.due_micros
    charges = iter(record.charges)
    final = _final_units(record)
    reversed_: list[OpenCharge] = []
    for posting in postings(record.lines):
        first = posting[0].account
        if first.startswith(USAGE):
            taken_back = _fold_charge(state, next(charges), posting, clock)
            if taken_back is not None and taken_back.unit_id in final:
                note_charge(state, taken_back, is_final=True)
            elif taken_back is not None:
                reversed_.append(taken_back)
        elif first.startswith(DUE):
            _fold_settlement(state, first[len(DUE) :], posting[1].account, posting[0].amount_micros)
    for held in reversed_:
        note_reversal(state, held)
    return state


def _final_units(record: LedgerRecord) -> set[str]:
    """Units that late events changed when they were final (U6). What they made of their app (E4) stays: an account that
    has forgotten them knows no better, so who replays the ledger must not either."""
    late = (change for change in record.changes if isinstance(change, LateAdmitted))
    return {unit.unit_id for change in late for unit in change.units}


def postings(lines: tuple[Line, ...]) -> Iterator[list[Line]]:
    """A record's lines posting by posting: each ends where its sum returns to zero."""
    total = 0
    posting: list[Line] = []
    for line in lines:
        posting.append(line)
        total += line.amount_micros
        if total == 0:
            yield posting
            posting = []
    assert not posting, "lines do not sum to zero"


def _fold_line(state: AccountState, line: Line) -> None:
    account, amount = line.account, line.amount_micros
    if not account.startswith(GRANT):
        state.totals[account] = state.totals.get(account, 0) + amount
        return
    grant = state.grants[account]
    before = grant.remaining_micros
    grant.remaining_micros = after = before + amount
    if not grant.expired:
        state.available_micros += amount
    state.touched_grants[grant.page] = None
    if before == 0:
        state.purse.add(grant)
        state.spent.discard(account)
    elif after == 0:
        state.purse.remove(grant)
        state.spent.add(account)


def _fold_charge(state: AccountState, charge: Charge, posting: list[Line], clock: Clock) -> OpenCharge | None:
    """Fold a charge, or the reversal of one; the charge taken back."""
    _count_day(state, charge)
    if charge.covered == "included":
        take_place(state, charge.pool, -1 if charge.reversed else 1)
    if charge.reversed:
        held = state.open.get(charge.unit_id)
        if held is not None:
            close_charge(state, held)
        return held
    parts = tuple((line.account, -line.amount_micros) for line in posting[1:])
    opened = OpenCharge(charge.unit_id, charge.app, charge.start_us, charge.price_micros, charge.plan, parts,
                        charge.covered, charge.pool, charge.unit_kind, charge.channel)  # fmt: skip
    is_final = charge.start_us < clock.final_us
    note_charge(state, opened, is_final)
    if not is_final:
        open_charge(state, opened)
    elif opened.due_micros:
        owe_for_good(state, charge.start_us, charge.app, opened.due_micros)
    return None


def _count_day(state: AccountState, charge: Charge) -> None:
    """C11: units and money by the day of the unit's start. Only the last days are kept (law 6)."""
    if charge.covered == "unpublished":
        return
    day = charge.start_us // MICROS_PER_DAY
    units, micros = state.daily.get(day, (0, 0))
    sign = -1 if charge.reversed else 1
    if day not in state.daily and len(state.daily) >= DAYS_KEPT:
        oldest = min(state.daily)
        if day < oldest:
            return
        del state.daily[oldest]
    state.daily[day] = (units + sign, micros + sign * charge.price_micros)


def _fold_settlement(state: AccountState, app: str, account: str, amount: int) -> None:
    """What an app owes becomes paid by the grant, oldest first; open charges remember who paid (C6, C8)."""
    grant = state.grants[account]
    for item in list(state.due_items()):
        if item.app != app or not grant.usable_at(item.start_us):
            continue
        part = min(amount, item.amount_micros)
        amount -= part
        if item.unit_id:
            pay(state, state.open[item.unit_id], grant, part)
            note_paid(state, app, account)
        else:
            pay_for_good(state, item, part)
            note_paid_for_good(state, app, account)
        if amount == 0:
            return
    raise AssertionError(f"{amount} more settled than {app} owes")
