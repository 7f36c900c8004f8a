"""What must hold of every account and of its ledger: a list of laws that tests, simulations and reconciliation run.

Each law takes an account and its records from the first one (either may be all there is to look at: an account
without records, records without an account) and returns what is broken, in sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from schemas.ledger import GENESIS_HASH, LedgerRecord, is_intact
from streams.accounts.apply import apply
from streams.accounts.grants import GRANT
from streams.accounts.money import usd
from streams.accounts.state import DUE, AccountState, Activity

Invariant = Callable[[AccountState, Sequence[LedgerRecord]], list[str]]


def every_line_sums_to_zero(_: AccountState, records: Sequence[LedgerRecord]) -> list[str]:
    """L1: double entry."""
    sums = ((record.sequence, sum(line.amount_micros for line in record.lines)) for record in records)
    return [f"record {sequence}: lines sum to {total}" for sequence, total in sums if total]


def no_balance_has_the_wrong_sign(_: AccountState, records: Sequence[LedgerRecord]) -> list[str]:
    """No grant below zero; nobody owes less than nothing (C6)."""
    broken = []
    for record in records:
        for line in record.lines:
            wrong = (line.account.startswith(GRANT) and line.balance_micros < 0) or (
                line.account.startswith(DUE) and line.balance_micros > 0
            )
            if wrong:
                broken.append(f"record {record.sequence}: {line.account} is {line.balance_micros}")
    return broken


def every_balance_is_the_sum_of_its_lines(state: AccountState, records: Sequence[LedgerRecord]) -> list[str]:
    """L1: conservation, per line and per record."""
    sums: dict[str, int] = {}
    kinds: dict[str, str] = {}
    broken = []
    for record in records:
        for opened in record.grants:
            kinds[GRANT + opened.grant_id] = _pot(opened.credit, opened.app)
        for line in record.lines:
            sums[line.account] = sums.get(line.account, 0) + line.amount_micros
            if sums[line.account] != line.balance_micros:
                broken.append(f"record {record.sequence}: {line.account} shows {line.balance_micros}")
        pots = {"free": 0, "shared": 0, "apps": 0}
        for account, pot in kinds.items():
            pots[pot] += sums.get(account, 0)
        due = -sum(amount for account, amount in sums.items() if account.startswith(DUE))
        shown = record.balances
        seen = (shown.free_micros, shown.paid_shared_micros, shown.paid_apps_micros, shown.due_micros)
        if seen != (pots["free"], pots["shared"], pots["apps"], due):
            broken.append(f"record {record.sequence}: balances {seen} are not the sums {pots}, due {due}")
    return broken


def nothing_is_owed_while_credit_could_pay_it(state: AccountState, _: Sequence[LedgerRecord]) -> list[str]:
    """C6: due never stands beside credit it could use."""
    return [
        f"{item.app} owes {usd(item.amount_micros)} while {grant.account} holds {usd(grant.remaining_micros)}"
        for item in state.due_items()
        for grant in state.grants.values()
        if grant.remaining_micros > 0 and grant.fits(item.app) and grant.usable_at(item.start_us)
    ]


def the_state_agrees_with_itself(state: AccountState, _: Sequence[LedgerRecord]) -> list[str]:
    """Derived figures equal what they derive from."""
    broken = []
    owed = sum(item.amount_micros for item in state.due_items())
    if state.due_micros != owed or owed != -sum(v for k, v in state.totals.items() if k.startswith(DUE)):
        broken.append(f"due is {state.due_micros}, its items sum to {owed}")
    available = sum(grant.remaining_micros for grant in state.grants.values() if not grant.expired)
    if state.available_micros != available:
        broken.append(f"available is {state.available_micros}, its grants hold {available}")
    broken.extend(
        f"unit {charge.unit_id}: parts {charge.parts} do not sum to {charge.price_micros}"
        for charge in state.open.values()
        if sum(amount for _, amount in charge.parts) != charge.price_micros
    )
    return broken


def the_sequence_has_no_gap(state: AccountState, records: Sequence[LedgerRecord]) -> list[str]:
    """L1: 1, 2, 3, ..."""
    found = [record.sequence for record in records]
    return (
        []
        if found == list(range(1, state.sequence + 1))
        else [f"sequences {found}, the account is at {state.sequence}"]
    )


def the_chain_is_intact(state: AccountState, records: Sequence[LedgerRecord]) -> list[str]:
    """L2: each record carries the hash of the one before, and its own."""
    broken = []
    previous = GENESIS_HASH
    for record in records:
        if record.previous_hash != previous or not is_intact(record):
            broken.append(f"record {record.sequence}: the chain is broken")
        previous = record.hash
    return broken if previous == state.last_hash else [*broken, "the account's hash is not the last record's"]


def replaying_the_ledger_gives_the_state(state: AccountState, records: Sequence[LedgerRecord]) -> list[str]:
    """L4, law 5: any balance can be recomputed from the ledger alone, and who paid for each open charge."""
    replayed = AccountState(state.workspace)
    for record in records:
        replayed = apply(replayed, record)
    broken = [
        f"{account} is {state.balance(account)}, replayed {replayed.balance(account)}"
        for account in sorted({*state.totals, *state.grants, *replayed.totals, *replayed.grants})
        if state.balance(account) != replayed.balance(account)
    ]
    for unit_id, charge in state.open.items():
        again = replayed.open.get(unit_id)
        if again is None or dict(again.parts) != dict(charge.parts):
            broken.append(f"unit {unit_id}: paid by {charge.parts}, replayed {again and again.parts}")
    for name in (
        "apps",
        "contracts",
        "subscriptions",
        "asked",
        "upgrade_requested",
        "used",
        "auto",
        "people",
        "emails",
        "licences",
    ):
        ours, theirs = getattr(state, name), getattr(replayed, name)
        if ours != theirs:
            broken.append(f"{name} are {ours}, replayed {theirs}")
    for app in sorted(state.activity.keys() | replayed.activity.keys()):
        mine, again_ = (held.activity.get(app, Activity()) for held in (state, replayed))
        if (mine.newest_day, mine.paid) != (again_.newest_day, again_.paid):
            broken.append(f"{app} has used {mine}, replayed {again_}")
    return broken


INVARIANTS: tuple[Invariant, ...] = (
    every_line_sums_to_zero,
    no_balance_has_the_wrong_sign,
    every_balance_is_the_sum_of_its_lines,
    nothing_is_owed_while_credit_could_pay_it,
    the_state_agrees_with_itself,
    the_sequence_has_no_gap,
    the_chain_is_intact,
    replaying_the_ledger_gives_the_state,
)


def broken_laws(state: AccountState, records: Sequence[LedgerRecord]) -> list[str]:
    """Every sentence of every law; empty when all hold."""
    return [f"{law.__name__}: {sentence}" for law in INVARIANTS for sentence in law(state, records)]


def _pot(credit: str, app: str | None) -> str:
    return "free" if credit == "free" else "shared" if app is None else "apps"
