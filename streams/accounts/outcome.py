"""From a finished draft to a decision: the sealed record, the alerts its balances raise, the payments it asks for."""

from __future__ import annotations

from schemas.changes import PaymentRequested
from schemas.ledger import EntryKind, LedgerRecord
from schemas.payments import PaymentRequest
from streams.accounts.alerting import Alerts, conditions, thresholds_of
from streams.accounts.auto_payment import top_up_due
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
    if state.auto is not None or draft.changes:
        at_us = max(moment.clock.now_us, state.as_of_us, time_us)
        asked = top_up_due(state, draft.changes, draft.shared_micros, at_us, state.sequence + 1, policy)
        if asked is not None:
            draft.changes.append(asked)
    record = draft.record(kind, time_us, moment.origin(), cause, actor, note)
    if is_comfortable(draft, policy) and not state.raised:
        return Decision((), record)
    thresholds = thresholds_of(state, policy, draft)
    holding = conditions(draft.available_micros, thresholds)
    if holding == state.raised and not draft.grants and not draft.changes:
        return Decision(holding, record)
    alerts = Alerts(state, moment, policy, draft.available_micros, first=1)
    for opened in draft.grants:
        if opened.expires_us is not None and opened.expires_us <= moment.clock.complete_us:
            alerts.lapsed(opened.grant_id, opened.amount_micros, opened.expires_us)
    alerts.balance(holding, thresholds, time_us, record.sequence)
    alerts.changed(record)
    return Decision(holding, record, tuple(alerts.raised), requests_of(record, moment, 1 + len(alerts.raised)))


def is_comfortable(draft: Draft, policy: Policy) -> bool:
    """Whether an ordinary charge leaves more than any threshold, seen at a glance: the hot path."""
    return (
        not draft.changes
        and not draft.grants
        and draft.state.thresholds is None
        and draft.available_micros > policy.low_balance_micros
    )


def requests_of(record: LedgerRecord | None, moment: Moment, first: int) -> tuple[PaymentRequest, ...]:
    """The payments a record asks for (C10, P8), each with the next output index from `first` on."""
    asked = [] if record is None else [c for c in record.changes if isinstance(c, PaymentRequested)]
    return tuple(
        PaymentRequest(
            change.payment_id, record.workspace, change.purpose, change.subject, change.amount_micros, change.due_us,
            record.time_us, record.sequence, moment.origin(first + at), change.method,
        )
        for at, change in enumerate(asked)
        if record is not None
    )  # fmt: skip


def unchanged(state: AccountState) -> Decision:
    """Nothing follows."""
    return Decision(state.raised)
