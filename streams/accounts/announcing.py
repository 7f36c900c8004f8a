"""What gateways and owners are told after a record or a step of the clock: entitlements that changed (E1), apps that
stopped or respond again, contract usage, renewals that come due (A1).

A function of the account after the record. What was told last is remembered, so nothing is told twice (A2).
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from schemas.alerts import Alert, AlertKind
from schemas.changes import AlertsSet, ContractBegan, ContractEnds, SupportEnds, SupportResumed, SupportTaken
from schemas.entitlements import Entitlement
from schemas.instants import MICROS_PER_DAY, day_of
from schemas.ledger import Charge, LedgerRecord
from schemas.units import Origin
from streams.accounts.activity import is_inactive, is_paid
from streams.accounts.alerting import app_of
from streams.accounts.apps import AppState, Told
from streams.accounts.decision import Moment
from streams.accounts.money import instant, usd
from streams.accounts.policy import Policy
from streams.accounts.pricing import standing_at
from streams.accounts.renewing import fee_micros, next_term_us
from streams.accounts.standing import Assessment, assess, balance_status, burning, shared_micros
from streams.accounts.state import DUE, AccountState
from streams.accounts.support import support_at

_OF_ALL_APPS = (ContractBegan, ContractEnds, AlertsSet, SupportTaken, SupportEnds, SupportResumed)


def is_silent(state: AccountState, record: LedgerRecord) -> bool:
    """Whether a record can change nothing that is told, seen at a glance: an ordinary charge between two steps."""
    low, high = state.band
    if record.changes or record.grants or state.contracts or not low <= shared_micros(state) < high:
        return False
    if any(_is_of_one_app(state, line.account) for line in record.lines):
        return False
    return state.told_raised == state.raised and all(_is_usual(state, charge) for charge in record.charges)


def _is_of_one_app(state: AccountState, account: str) -> bool:
    """Whether credit mapped to an app has moved; the last of it may have gone, and nothing is in its purse then."""
    grant = state.grants.get(account)
    return grant is not None and grant.app is not None


def _is_usual(state: AccountState, charge: Charge) -> bool:
    """Whether a charge changes nothing that was told of its app: not what it is allowed, nor what it has used (E4)."""
    app = charge.app
    told, activity = state.entitled.get(app), state.activity.get(app)
    if told is None or activity is None or app not in state.plain_apps or app in state.purse.paid:
        return False
    is_newest = charge.start_us // MICROS_PER_DAY <= activity.newest_day
    return is_newest and not told.inactive and told.paid == activity.paid and told.balance == balance_status(state)


class Announcer:
    """What is told at one moment, in order; each gets the next output index from `first` on."""

    def __init__(self, state: AccountState, moment: Moment, policy: Policy, first: int, time_us: int) -> None:
        self.state, self.moment, self.policy = state, moment, policy
        self.first, self.time_us = first, time_us
        self.at_us = max(moment.clock.now_us, state.as_of_us, time_us)
        self.told: list[Entitlement | Alert] = []
        self.is_clock = False

    def record(self, record: LedgerRecord) -> list[Entitlement | Alert]:
        """After a record: the apps it touches, or all where it touches what they share."""
        state = self.state
        (low, high), status = state.band, balance_status(state)
        all_apps = (
            not low <= shared_micros(state) < high
            or state.told_raised != state.raised
            or any(grant.app is None for grant in record.grants)
            or bool(state.contracts)
            or record.kind == "credit_moved"
            or any(told.balance != status for told in state.entitled.values())
            or any(isinstance(change, _OF_ALL_APPS) for change in record.changes)
        )
        touched = {charge.app for charge in record.charges} | {grant.app for grant in record.grants if grant.app}
        # Credit that came back may have paid what another app owes: then paid credit was used for that one (E4).
        touched |= {line.account[len(DUE) :] for line in record.lines if line.account.startswith(DUE)}
        if record.changes:
            self._renewals()
        touched |= {app for change in record.changes if (app := getattr(change, "app", None))}
        self._tell(state.apps if all_apps else touched & state.apps.keys())
        return self.told

    def clock(self) -> list[Entitlement | Alert]:
        """After a step of the clock: everything, and figures that have changed since another day."""
        self.is_clock = True
        self._renewals()
        self._tell(self.state.apps)
        return self.told

    def _tell(self, apps: Collection[str]) -> None:
        state = self.state
        for name in sorted(apps):
            self._app(state.apps[name])
        self._contract_usage()
        state.band = _band(shared_micros(state), self.policy.price_micros(self._unit(), self.at_us))
        state.told_raised = state.raised

    def _unit(self) -> str:
        return self.policy.standard.billing_unit

    def _app(self, app: AppState) -> None:
        state, found = self.state, assess(self.state, app, self.at_us, self.policy)
        before, status = state.entitled.get(app.app), balance_status(state)
        limits = (tuple(sorted(found.rate_limits.items())), tuple(sorted(found.usage_limits.items())))
        step = found.allowed_requests.bit_length()
        burnt, day = burning(state, self.at_us), day_of(self.at_us)
        support = support_at(state, self.at_us, self.policy, app)
        inactive, paid = is_inactive(state, app.app, self.at_us), is_paid(state, app.app)
        key = Told(
            found.allowed, found.why, self.at_us, found.plan, step, status, found.term_ends_us, limits, support,
            inactive, paid, (*burnt, found.allowed_requests), day,
        )  # fmt: skip
        if before is not None:
            if (before.allowed, before.why) == (found.allowed, found.why):
                key.since_us = before.since_us
            if self._is_known(key, before):
                return
        state.entitled[app.app] = key
        self.told.append(
            Entitlement(
                state.workspace, app.app, state.sequence, self._origin(), found.allowed, found.why, key.since_us,
                found.plan, found.allowed_requests, found.rate_limits, found.usage_limits, status, *burnt,
                found.term_ends_us if found.term_ends_us and found.term_ends_us < 2**62 else None,
                support, inactive, paid,
            )
        )  # fmt: skip
        if before is not None and before.allowed != found.allowed and not _is_withdrawn(before.why, found):
            self._stopped_or_responding(app, found)

    def _is_known(self, key: Told, before: Told) -> bool:
        """Whether nothing is new: figures alone are news from the clock only, and once a day (C11)."""
        if replace(key, figures=before.figures, day=before.day) != before:
            return False
        return not self.is_clock or key.day == before.day or key.figures == before.figures

    def _stopped_or_responding(self, app: AppState, found: Assessment) -> None:
        reason = found.why.replace("_", " ")
        if found.allowed:
            text = f"App {app.app} of workspace {self.state.workspace} responds again: {reason}."
            self._alert("app_responding", f"{app.app}/responding/{self.state.sequence}/{self.at_us}", text, app.app)
        else:
            text = f"App {app.app} of workspace {self.state.workspace} has stopped responding: {reason}."
            self._alert("app_stopped", f"{app.app}/stopped/{self.state.sequence}/{self.at_us}", text, app.app)

    def _contract_usage(self) -> None:
        if not self.state.contracts:
            return
        standing = standing_at(self.state, None, self.at_us, self.policy)
        used = self.state.used.get(standing.pool, 0)
        if not standing.pool or standing.included == 0:
            return
        for percent in self.policy.catalog.alerts.contract_percents:
            if used * 100 >= percent * standing.included and self._is_news(f"contract_usage/{percent}", standing.pool):
                text = (
                    f"Workspace {self.state.workspace} has used {used:,} of the {standing.included:,} requests of its "
                    f"contract's term ({percent} %)."
                )
                self._alert("contract_usage", f"contract_usage/{percent}/{standing.pool}", text, percent=percent)

    def _renewals(self) -> None:
        state, now_us = self.state, self.moment.clock.now_us
        days = self.policy.catalog.alerts.renewal_days
        for subject, held in sorted(state.subscriptions.items()):
            due_us = next_term_us(held, now_us)
            if due_us is None or due_us - days * MICROS_PER_DAY > now_us:
                continue
            amount = fee_micros(state, held, due_us, self.policy)
            if amount and self._is_news(f"renewal/{subject}", str(due_us)):
                text = (
                    f"The fee of {usd(amount)} for {subject} of workspace {state.workspace} is due at "
                    f"{instant(due_us)}."
                )
                self._alert(
                    "renewal_due", f"renewal/{subject}/{due_us}", text, app_of(subject), due_us=due_us,
                    amount_micros=amount,
                )  # fmt: skip

    def _is_news(self, slot: str, value: str) -> bool:
        news = self.state.told.get(slot) != value
        self.state.told[slot] = value
        return news

    def _alert(
        self,
        kind: AlertKind,
        alert_id: str,
        message: str,
        app: str | None = None,
        percent: int | None = None,
        due_us: int | None = None,
        amount_micros: int | None = None,
    ) -> None:
        workspace, left = self.state.workspace, self.state.available_micros
        time_us, origin = max(0, self.time_us), self._origin()
        self.told.append(
            Alert(
                f"{workspace}/{alert_id}"[:256], workspace, kind, time_us, origin, left, message[:512], app=app,
                percent=percent, due_us=due_us, amount_micros=amount_micros,
            )
        )  # fmt: skip

    def _origin(self) -> Origin:
        return self.moment.origin(self.first + len(self.told))


def _is_withdrawn(why_before: str, found: Assessment) -> bool:
    """Publishing and unpublishing are the owner's own doing, and no news."""
    return why_before in ("draft", "unpublished") or found.why in ("draft", "unpublished")


def _band(shared: int, price: int) -> tuple[int, int]:
    """The shared credit between which allowed requests neither halve nor double, and nothing stops or responds."""
    if price == 0:
        return 0, 2**62
    if shared < price:
        return (1, price) if shared > 0 else (0, 1)
    step = 1 << ((shared // price).bit_length() - 1)
    return step * price, 2 * step * price
