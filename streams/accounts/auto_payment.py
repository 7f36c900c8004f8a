"""Auto payment and its guards (C10): when shared paid credit is below X, ask for Y, but never twice at once, never more
often a day than set, and after a failure only when the pause is over and the retries are not used up.
"""

from __future__ import annotations

from schemas.changes import AutoPaymentSet, AutoPaymentStopped, Change, PaymentFailed, PaymentRequested, PaymentSettled
from schemas.instants import MICROS_PER_DAY, MICROS_PER_MINUTE, day_of
from streams.accounts.apps import AutoPayment
from streams.accounts.policy import Policy
from streams.accounts.state import AccountState


def top_up_due(
    state: AccountState, changes: list[Change], shared_micros: int, at_us: int, sequence: int, policy: Policy
) -> PaymentRequested | None:
    """The payment to ask for in the record of that sequence, which makes `changes` and leaves so much shared paid
    credit; None when there is none."""
    auto = state.auto
    for change in changes:
        if isinstance(change, PaymentFailed | PaymentSettled | AutoPaymentStopped):
            return None
        if isinstance(change, AutoPaymentSet):
            auto = renewed(state, change)
    if auto is None or shared_micros >= auto.setting.below_micros or auto.open or auto.failures > auto.setting.retries:
        return None
    if at_us < _free_us(auto, at_us, policy):
        return None
    payment_id = f"{state.workspace}/auto/{sequence}"
    return PaymentRequested(
        payment_id, "auto_top_up", "credit", auto.setting.amount_micros, max(0, at_us), auto.setting.method
    )


def next_try_us(state: AccountState, now_us: int, policy: Policy) -> int | None:
    """When the clock alone lets another payment be asked for, at once where a payment was settled or failed just now;
    None when it does not."""
    auto = state.auto
    if auto is None or auto.open or auto.failures > auto.setting.retries:
        return None
    if state.paid_shared_micros >= auto.setting.below_micros:
        return None
    return max(_free_us(auto, now_us, policy), now_us + 1)


def renewed(state: AccountState, setting: AutoPaymentSet) -> AutoPayment:
    """A new setting forgets failures, but neither what is in flight nor what was asked for today; nor does one after
    auto payment was stopped."""
    auto = state.auto
    if auto is not None:
        return AutoPayment(setting, auto.open, 0, 0, auto.day, auto.count)
    asked = [payment for payment in state.asked.values() if payment.purpose == "auto_top_up"]
    in_flight = [(payment.due_us, payment.payment_id) for payment in asked if payment.status == "open"]
    days = [day_of(payment.due_us) for payment in asked]
    newest = max(days, default=-1)
    return AutoPayment(setting, max(in_flight, default=(0, ""))[1], day=newest, count=days.count(newest))


def _free_us(auto: AutoPayment, at_us: int, policy: Policy) -> int:
    """From when on the pause after a failure, and the cap of the day, let a payment be asked for."""
    pause_us = policy.catalog.auto_payment.backoff_minutes * MICROS_PER_MINUTE
    free_us = auto.failed_us + pause_us * auto.failures if auto.failures else at_us
    day = day_of(max(free_us, at_us))
    if day <= auto.day and auto.count >= auto.setting.maximum_per_day:
        free_us = max(free_us, (auto.day + 1) * MICROS_PER_DAY)
    return free_us
