"""Alerts of A1: balance thresholds, free credit that expires or has lapsed; failed payments, changed licences (P10).
Once per crossing (A2).

A balance alert is raised when its condition holds after a record, or a step of the clock, and did not before; what
dips and returns within one record raises nothing. Ids derive from the cause: a record of the workspace's chain
(a condition cannot hold, clear and hold again without one between), or a grant.
"""

from __future__ import annotations

from schemas.alerts import Alert, AlertKind
from schemas.changes import AlertsSet, LicenceAssigned, LicenceRemoved, PaymentFailed
from schemas.instants import MICROS_PER_DAY
from schemas.ledger import LedgerRecord
from streams.accounts.decision import Moment
from streams.accounts.draft import Draft
from streams.accounts.grants import GRANT, Grant
from streams.accounts.money import instant, usd
from streams.accounts.policy import Policy
from streams.accounts.state import AccountState

LOW = "low_balance"


def thresholds_of(state: AccountState, policy: Policy, draft: Draft | None = None) -> dict[str, int]:
    """The low balances that are told, by name: the catalog's, or those the workspace has set (A1)."""
    chosen, added = state.thresholds, state.last_added_micros
    if draft is not None:
        chosen = next((change for change in draft.changes if isinstance(change, AlertsSet)), chosen)
        added = next((grant.amount_micros for grant in reversed(draft.grants) if not grant.moved), added)
    if chosen is None:
        return {LOW: policy.low_balance_micros}
    amounts = {f"{LOW}/{amount}": amount for amount in chosen.amounts_micros}
    return amounts | {f"{LOW}/{percent}%": added * percent // 100 for percent in chosen.percents}


def conditions(available_micros: int, thresholds: dict[str, int]) -> tuple[str, ...]:
    """The balance alerts that hold at a balance: strictly below a low threshold; nothing left."""
    low = tuple(name for name, threshold in thresholds.items() if available_micros < threshold)
    return low if available_micros > 0 else (*low, "zero_balance")


def app_of(subject: str) -> str | None:
    """The app that a payment's subject names; None for what is the workspace's."""
    return subject.partition("/")[2] or None


class Alerts:
    """The alerts of one decision, each with the next output index."""

    def __init__(self, state: AccountState, moment: Moment, policy: Policy, available_micros: int, first: int) -> None:
        self.state, self.moment, self.policy = state, moment, policy
        self.available_micros = available_micros
        self.first = first
        self.raised: list[Alert] = []

    def balance(self, holding: tuple[str, ...], thresholds: dict[str, int], time_us: int, sequence: int) -> None:
        """What `holding` holds now and did not before; a threshold set anew to an amount that was told is no news."""
        workspace, left = self.state.workspace, self.available_micros
        before = thresholds_of(self.state, self.policy).items()
        told = {low for name, low in before if name in self.state.raised}
        for name, low in thresholds.items():
            if name in holding and name not in self.state.raised and low not in told:
                text = f"Workspace {workspace} has {usd(left)} of credit left, below {usd(low)}."
                self._raise("low_balance", f"{workspace}/{name}/{sequence}", time_us, text, threshold=low)
        if "zero_balance" in holding and "zero_balance" not in self.state.raised:
            text = f"Workspace {workspace} has no credit left."
            self._raise("zero_balance", f"{workspace}/zero_balance/{sequence}", time_us, text, threshold=0)

    def expiring(self, grant: Grant, days: int) -> None:
        """Free credit that expires within so many days."""
        grant_id = grant.account.removeprefix(GRANT)
        when = f"in {days} day{'' if days == 1 else 's'} or less, at {instant(grant.expires_us)}"
        text = f"{usd(grant.remaining_micros)} of free credit of workspace {self.state.workspace} expires {when}."
        time_us = max(0, grant.expires_us - days * MICROS_PER_DAY)
        self._raise(
            "free_credit_expiring", f"{grant_id}/expiring/{days}", time_us, text, grant_id=grant_id,
            due_us=max(0, grant.expires_us), amount_micros=grant.remaining_micros,
        )  # fmt: skip

    def lapsed(self, grant_id: str, amount_micros: int, expires_us: int) -> None:
        """Free credit that has lapsed (C3)."""
        text = (
            f"{usd(amount_micros)} of free credit of workspace {self.state.workspace} lapsed at {instant(expires_us)}."
        )
        self._raise(
            "free_credit_lapsed", f"{grant_id}/lapsed", expires_us, text, grant_id=grant_id, due_us=max(0, expires_us),
            amount_micros=amount_micros,
        )  # fmt: skip

    def changed(self, record: LedgerRecord) -> None:
        """What a record's changes tell owners: a payment that failed, a licence given or taken (A1, P10)."""
        for change in record.changes:
            if isinstance(change, PaymentFailed):
                self._payment_failed(change, record)
            elif isinstance(change, LicenceAssigned | LicenceRemoved):
                self._licence_changed(change, record)

    def _payment_failed(self, change: PaymentFailed, record: LedgerRecord) -> None:
        workspace, asked = self.state.workspace, self.state.asked[change.payment_id]
        text = (
            f"The payment of {usd(asked.amount_micros)} for {asked.subject} of workspace {workspace} failed: "
            f"{change.reason}"
        )
        self._raise(
            "payment_failed", f"{workspace}/failed/{record.sequence}", record.time_us, text,
            app=app_of(asked.subject), amount_micros=asked.amount_micros,
        )  # fmt: skip

    def _licence_changed(self, change: LicenceAssigned | LicenceRemoved, record: LedgerRecord) -> None:
        workspace = self.state.workspace
        titles = {product.id: product.title for product in self.policy.catalog.products}
        now = "is licensed" if isinstance(change, LicenceAssigned) else "is no longer licensed"
        text = f"{titles.get(change.product, change.product)} {now} for workspace {workspace}."
        self._raise("licence_changed", f"{workspace}/licence/{record.sequence}", record.time_us, text)

    def _raise(
        self,
        kind: AlertKind,
        alert_id: str,
        time_us: int,
        message: str,
        threshold: int | None = None,
        grant_id: str | None = None,
        app: str | None = None,
        due_us: int | None = None,
        amount_micros: int | None = None,
    ) -> None:
        origin = self.moment.origin(self.first + len(self.raised))
        left, workspace = self.available_micros, self.state.workspace
        self.raised.append(
            Alert(
                alert_id, workspace, kind, time_us, origin, left, message[:512], threshold, grant_id, app,
                due_us=due_us, amount_micros=amount_micros,
            )
        )  # fmt: skip
