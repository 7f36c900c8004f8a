"""From a finished draft to a decision: the sealed record, and the alerts its balances raise."""

from __future__ import annotations

from schemas.ledger import EntryKind
from streams.accounts.alerting import Alerts, conditions
from streams.accounts.decision import Decision, Moment
from streams.accounts.draft import Draft
from streams.accounts.policy import Policy
from streams.accounts.state import AccountState


def posted(
    draft: Draft,
    moment: Moment,
    policy: Policy,
    kind: EntryKind,
    time_us: int,
    cause: str,
    actor: str | None = None,
    note: str = "",
) -> Decision:
    """The decision to post a draft."""
    state = draft.state
    record = draft.record(kind, time_us, moment.origin(), cause, actor, note)
    holding = conditions(draft.available_micros, policy)
    if holding == state.raised and not draft.grants:
        return Decision(holding, record)
    alerts = Alerts(state, moment, policy, draft.available_micros, first=1)
    for opened in draft.grants:
        if opened.expires_us is not None and opened.expires_us <= moment.clock.complete_us:
            alerts.lapsed(opened.grant_id, opened.amount_micros, opened.expires_us)
    alerts.balance(holding, time_us, record.sequence)
    return Decision(holding, record, tuple(alerts.raised))


def unchanged(state: AccountState) -> Decision:
    """Nothing follows."""
    return Decision(state.raised)
