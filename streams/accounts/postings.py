"""The postings a record is made of: issue, charge, reverse, lapse, settle. Each adds lines that sum to zero."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from schemas.ledger import Charge, GrantOpened
from streams.accounts.burn import burn
from streams.accounts.draft import Draft
from streams.accounts.grants import Grant
from streams.accounts.state import DUE, OpenCharge

USAGE = "usage:"
ISSUED = "issued:"
LAPSED = "lapsed"
FEES = "fees:"
RECEIVED = "received"


def issue(draft: Draft, opened: GrantOpened) -> Grant:
    """A new grant (C1, C4). Credit whose life is already over when it arrives lapses in the same record (C3)."""
    grant = draft.open_grant(opened)
    draft.on_other(ISSUED + opened.credit, -opened.amount_micros)
    draft.on_grant(grant, opened.amount_micros)
    if grant.expires_us <= draft.clock.complete_us:
        lapse(draft, grant, opened.amount_micros)
    return grant


def charge(draft: Draft, charged: Charge) -> None:
    """A unit's price, split over the grants its app may use (C5); what they do not cover is due (C6)."""
    draft.charges.append(charged)
    draft.on_other(USAGE + charged.unit_kind, charged.price_micros)
    usable = draft.usable(charged.app, charged.start_us)
    parts, unfunded = burn(charged.price_micros, charged.start_us, usable, draft.remaining)
    for grant, part in parts:
        draft.on_grant(grant, -part)
    if unfunded:
        draft.on_due(charged.app, -unfunded)


def reverse(draft: Draft, reversed_: Charge, held: OpenCharge) -> None:
    """Each part returns to where it came from; what comes back to a lapsed grant lapses at once (C8)."""
    draft.charges.append(reversed_)
    draft.on_other(USAGE + reversed_.unit_kind, -held.price_micros)
    gone: list[tuple[Grant, int]] = []
    for account, part in held.parts:
        if account.startswith(DUE):
            draft.on_due(held.app, part)
            continue
        grant = draft.grant(account)
        draft.on_grant(grant, part)
        if grant.expires_us <= draft.clock.complete_us:
            gone.append((grant, part))
    for grant, part in gone:
        lapse(draft, grant, part)


def fee(draft: Draft, purpose: str, amount_micros: int) -> None:
    """A fee that was paid (P8): it is recorded, and is no credit."""
    draft.on_other(FEES + purpose, amount_micros)
    draft.on_other(RECEIVED, -amount_micros)


def lapse(draft: Draft, grant: Grant, amount_micros: int) -> None:
    """Credit past its life leaves the grant (C3)."""
    draft.on_other(LAPSED, amount_micros)
    draft.on_grant(grant, -amount_micros)


def settle(draft: Draft, without: Collection[str] = ()) -> None:
    """Credit that came in or came back pays what is owed, oldest first (C6). The units `without` are owed no longer."""
    if draft.due_micros == 0 or not draft.credited:
        return
    paid: dict[tuple[str, str], tuple[Grant, int]] = {}
    used: dict[str, int] = {}
    usable_by_app: dict[str, list[Grant]] = {}

    def remaining(grant: Grant) -> int:
        return draft.remaining(grant) - used.get(grant.account, 0)

    for item in draft.state.due_items():
        if item.unit_id and item.unit_id in without:
            continue
        if item.app not in usable_by_app:
            usable_by_app[item.app] = list(draft.usable(item.app))
        parts, _ = burn(item.amount_micros, item.start_us, usable_by_app[item.app], remaining)
        for grant, part in parts:
            used[grant.account] = used.get(grant.account, 0) + part
            before = paid.get((item.app, grant.account), (grant, 0))[1]
            paid[item.app, grant.account] = (grant, before + part)
    _post(draft, ((app, grant, amount) for (app, _), (grant, amount) in paid.items()))


def _post(draft: Draft, settled: Iterable[tuple[str, Grant, int]]) -> None:
    for app, grant, amount in settled:
        draft.on_due(app, amount)
        draft.on_grant(grant, -amount)
