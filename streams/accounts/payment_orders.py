"""Payments by hand: an owner asks to buy credit (C4); what was asked for is settled, or has failed, once (C10, P8).

What buys credit is asked for as `credit`, which all apps share, or as `credit/<app>`.
"""

from __future__ import annotations

from schemas.changes import PaymentFailed, PaymentRequested, PaymentSettled
from schemas.commands import FailPayment, RequestFunds, SettlePayment
from schemas.errors import excerpt
from schemas.ledger import GrantOpened
from streams.accounts.alerting import app_of
from streams.accounts.draft import Draft
from streams.accounts.funding import outside_bounds
from streams.accounts.money import usd
from streams.accounts.orders import Order, Rule, short
from streams.accounts.postings import fee, issue
from streams.accounts.state import AccountState

_CREDIT = ("top_up", "auto_top_up")
"""Purposes whose settlement brings credit; of the others it is a fee."""


def bought_by_hand(state: AccountState) -> bool:
    """C10: whether credit was bought otherwise than by auto payment."""
    return bool(state.payments) or any(
        payment.purpose == "top_up" and payment.status == "settled" for payment in state.asked.values()
    )


def _refuse_asking(order: Order, body: RequestFunds) -> str:
    state, app = order.state, body.app
    if app is None and order.command.actor.role == "app_owner":
        return "app: an app owner asks for credit of an own app; for what all apps share a workspace owner does (W2)."
    why = "" if app is None else order.no_such_app(app)
    why = why or outside_bounds(body.amount_micros, order.policy)
    if why:
        return why
    if _payment_id(order) in state.payments:
        return f"payment_id: {excerpt(_payment_id(order))} is settled already (C10)."
    for payment in state.asked.values():
        if payment.purpose == "top_up" and payment.status == "open" and app_of(payment.subject) == app:
            whose = "shared credit" if app is None else f"credit of {app}"
            name = excerpt(payment.payment_id)
            return (
                f"app: {usd(payment.amount_micros)} of {whose} is asked for already, as {name}, and not paid yet (C10)."
            )
    return ""


def _payment_id(order: Order) -> str:
    """The same for the same command, however often it is derived."""
    return f"{order.state.workspace}/funds/{short(order.command.command_id)}"


def _ask(order: Order, body: RequestFunds, draft: Draft) -> None:
    subject = "credit" if body.app is None else f"credit/{body.app}"
    draft.changes.append(
        PaymentRequested(_payment_id(order), "top_up", subject, body.amount_micros, order.command.time_us, body.method)
    )


def _refuse(order: Order, body: SettlePayment | FailPayment) -> str:
    payment = order.state.asked.get(body.payment_id)
    name = excerpt(body.payment_id)
    if payment is None:
        return f"payment_id: {name} was not asked for (C10)."
    if payment.status == "settled":
        return f"payment_id: {name} is settled already (C10)."
    if payment.status == "failed" and isinstance(body, FailPayment):
        return f"payment_id: {name} has failed already (C10)."
    return ""


def _settle(order: Order, body: SettlePayment, draft: Draft) -> None:
    payment = order.state.asked[body.payment_id]
    draft.changes.append(PaymentSettled(body.payment_id))
    if payment.purpose not in _CREDIT:
        fee(draft, payment.purpose, payment.amount_micros)
        return
    grant_id = f"{order.state.workspace}/payment/{short(payment.payment_id)}"
    issue(
        draft, GrantOpened(grant_id, "paid", payment.amount_micros, order.command.time_us, app=app_of(payment.subject))
    )


def _fail(order: Order, body: FailPayment, draft: Draft) -> None:
    draft.changes.append(PaymentFailed(body.payment_id, body.reason, order.command.time_us))


RULES: dict[type, Rule] = {
    RequestFunds: Rule("payment_requested", _refuse_asking, _ask),
    SettlePayment: Rule("payment_settled", _refuse, _settle),
    FailPayment: Rule("payment_failed", _refuse, _fail),
}
