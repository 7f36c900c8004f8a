"""What the clock brings: free credit about to expire, excluded from what alerts count, lapsed (C3, A1); renewals (P8).

Two clocks. By `now` alerts warn, and stop counting credit whose expiry it has passed. By `complete`, which trails `now`
by the allowed lateness, what remains of a grant lapses: until then a late unit that started before the expiry may
still use it. So what a grant paid for does not depend on the order in which units arrive within the lateness.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from zlib import crc32

from schemas.changes import Change, PaymentRequested
from schemas.instants import MICROS_PER_DAY, MICROS_PER_SECOND
from schemas.ledger import EntryKind, LedgerRecord
from streams.accounts.alerting import Alerts, conditions, thresholds_of
from streams.accounts.apps import SUPPORT
from streams.accounts.auto_payment import next_try_us, top_up_due
from streams.accounts.decision import Decision, Moment
from streams.accounts.draft import Draft
from streams.accounts.grants import FOR_EVER, GRANT, Grant
from streams.accounts.outcome import requests_of, unchanged
from streams.accounts.policy import Policy
from streams.accounts.postings import lapse
from streams.accounts.pricing import standing_at
from streams.accounts.renewing import next_renewal_us, next_term_us, renewals
from streams.accounts.state import AccountState, Clock

SECONDS_OF_REFRESH = 3600


def decide_clock(state: AccountState, moment: Moment, policy: Policy) -> Decision:
    """What follows for one account from the clock having moved to `moment.clock`."""
    clock = moment.clock
    mortal = list(_near(state, clock, policy))
    renewed = renewals(state, clock.now_us, policy) if state.subscriptions else []
    at_us = max(clock.now_us, state.as_of_us)
    asked = top_up_due(state, [], state.paid_shared_micros, at_us, state.sequence + 1, policy)
    if asked is not None:
        renewed.append((max(0, at_us), asked))
    if not state.mortal and not renewed:
        return unchanged(state)
    draft = Draft(state, clock)
    draft.changes = [change for _, change in renewed]
    expiring = [grant for grant in mortal if grant.expires_us <= clock.now_us and not grant.expired]
    for grant in expiring:
        draft.expired.add(grant.account)
        draft.available_micros -= grant.remaining_micros
    lapsing = [grant for grant in mortal if grant.expires_us <= clock.complete_us and grant.remaining_micros]
    for grant in lapsing:
        lapse(draft, grant, grant.remaining_micros)
    record = _record(draft, lapsing, renewed, moment)
    alerts = Alerts(state, moment, policy, draft.available_micros, first=1 if record else 0)
    for grant in lapsing:
        alerts.lapsed(grant.account.removeprefix(GRANT), grant.remaining_micros, grant.expires_us)
    for grant in mortal:
        days = warning_due(grant, clock, policy)
        if days is not None and grant.remaining_micros:
            alerts.expiring(grant, days)
    thresholds = thresholds_of(state, policy)
    holding = conditions(draft.available_micros, thresholds)
    if holding != state.raised:
        time_us = max((grant.expires_us for grant in expiring), default=clock.now_us)
        alerts.balance(holding, thresholds, time_us, state.sequence + (record is not None))
    first = len(alerts.raised) + (record is not None)
    return Decision(holding, record, tuple(alerts.raised), requests_of(record, moment, first))


def _record(
    draft: Draft, lapsing: list[Grant], renewed: list[tuple[int, Change]], moment: Moment
) -> LedgerRecord | None:
    """The one record of what lapses and what is renewed or falls back (law 4)."""
    if lapsing:
        last = lapsing[-1]
        cause = f"expiry of {last.account.removeprefix(GRANT)}"
        return draft.record("lapse", last.expires_us, moment.origin(), cause)
    if renewed:
        asks = any(isinstance(change, PaymentRequested) for _, change in renewed)
        kind: EntryKind = "payment_requested" if asks else "plan_changed"
        return draft.record(kind, renewed[-1][0], moment.origin(), "renewal")
    return None


def warning_due(grant: Grant, clock: Clock, policy: Policy) -> int | None:
    """The warning of A1 that is due by `now` and not given: the nearest, if several passed at once."""
    if grant.expired or grant.expires_us <= clock.now_us:
        return None
    passed = [days for days in policy.expiring_days if grant.expires_us - days * MICROS_PER_DAY <= clock.now_us]
    nearest = min(passed, default=None)
    if nearest is None or (grant.warned_days is not None and grant.warned_days <= nearest):
        return None
    return nearest


def _near(state: AccountState, clock: Clock, policy: Policy) -> Iterator[Grant]:
    """The grants that expire soon enough, or have, for the clock to matter to them, soonest first."""
    horizon_us = clock.now_us + max(policy.expiring_days, default=0) * MICROS_PER_DAY
    for expires_us, account in state.mortal:
        if expires_us > horizon_us:
            return
        yield state.grants[account]


def pass_time(state: AccountState, clock: Clock, policy: Policy) -> None:
    """Fold the clock into the account, after `decide_clock` has said what follows from it."""
    for grant in _near(state, clock, policy):
        days = warning_due(grant, clock, policy)
        if days is not None:
            grant.warned_days = days
            state.touched_grants[grant.page] = None
        if grant.expires_us <= clock.now_us and not grant.expired:
            grant.expired = True
            state.touched_grants[grant.page] = None
            state.available_micros -= grant.remaining_micros
    state.unwarned.clear()


def schedule(state: AccountState, clock: Clock, policy: Policy) -> None:
    """When the account next needs the clock: `next_alarm_us` by `now`, `next_lapse_us` by `complete`."""
    state.unwarned.update(account for account in state.added if _is_late(state, account, clock, policy))
    state.added.clear()
    alarms = [
        state.grants[account].expires_us - days * MICROS_PER_DAY
        for account in state.unwarned & state.grants.keys()
        for days in policy.expiring_days
    ]
    for days in (*policy.expiring_days, 0):
        # A warning that is not due yet was not given yet; one that was due is given, but for those of `unwarned`.
        expires_us = _first_after(state, clock.now_us + days * MICROS_PER_DAY)
        if expires_us is not None:
            alarms.append(expires_us - days * MICROS_PER_DAY)
    for held in state.subscriptions.values():
        renewal_us = next_renewal_us(state, held, clock.now_us, policy)
        if renewal_us is not None:
            alarms.append(renewal_us)
        term_us = next_term_us(held, clock.now_us)
        if term_us is not None:
            reminder_us = term_us - policy.catalog.alerts.renewal_days * MICROS_PER_DAY
            alarms.append(reminder_us if reminder_us > clock.now_us else term_us)
    retry_us = next_try_us(state, max(clock.now_us, state.as_of_us), policy)
    if retry_us is not None:
        alarms.append(retry_us)
    alarms.extend(_boundaries(state, clock.now_us, policy))
    if any(told.moves_with_time for told in state.entitled.values()):
        alarms.append(next_refresh_us(state.workspace, clock.now_us))
    state.next_alarm_us = min(alarms, default=None)
    state.next_lapse_us = _first_after(state, clock.complete_us)


def _is_late(state: AccountState, account: str, clock: Clock, policy: Policy) -> bool:
    grant = state.grants.get(account)
    return grant is not None and warning_due(grant, clock, policy) is not None


def _first_after(state: AccountState, at_us: int) -> int | None:
    """The next instant at which a grant expires."""
    at = bisect_right(state.mortal, at_us, key=lambda entry: entry[0])
    return state.mortal[at][0] if at < len(state.mortal) else None


def next_refresh_us(workspace: str, now_us: int) -> int:
    """When what was told is looked at again as time passes (C11, E4): in the first hour of each UTC day, at a second of
    its own for each workspace, so that they do not all come at once."""
    second_us = crc32(workspace.encode()) % SECONDS_OF_REFRESH * MICROS_PER_SECOND
    today_us = now_us - now_us % MICROS_PER_DAY + second_us
    return today_us if today_us > now_us else today_us + MICROS_PER_DAY


def _boundaries(state: AccountState, now_us: int, policy: Policy) -> Iterator[int]:
    """When plans and terms begin or end after `now`: then what apps may do changes without a record (E1)."""
    support = state.subscriptions.get(SUPPORT)
    if support is not None:
        yield from (edge for edge in (support.from_us, support.until_us) if now_us < edge < FOR_EVER)
    for span in state.contracts:
        yield from (edge for edge in (span.from_us, span.until_us) if now_us < edge < FOR_EVER)
    for name in sorted(state.apps.keys() - state.plain_apps):
        app = state.apps[name]
        for plan in app.spans:
            yield from (edge for edge in (plan.from_us, plan.until_us) if now_us < edge < FOR_EVER)
        yield from (from_us for from_us, _ in app.published if from_us > now_us)
        ends_us = standing_at(state, app, now_us, policy).term_end_us
        if ends_us is not None and now_us < ends_us < FOR_EVER:
            yield ends_us
