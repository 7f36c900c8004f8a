"""Commands of the payment system: a payment asked for is settled, or has failed; each once (C10, P8)."""

from __future__ import annotations

from schemas.changes import PaymentFailed, PaymentSettled
from schemas.commands import FailPayment, SettlePayment
from schemas.errors import excerpt
from schemas.ledger import GrantOpened
from streams.accounts.draft import Draft
from streams.accounts.orders import Order, Rule, short
from streams.accounts.postings import fee, issue


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
    if payment.purpose != "auto_top_up":
        fee(draft, payment.purpose, payment.amount_micros)
        return
    grant_id = f"{order.state.workspace}/payment/{short(payment.payment_id)}"
    issue(draft, GrantOpened(grant_id, "paid", payment.amount_micros, order.command.time_us))


def _fail(order: Order, body: FailPayment, draft: Draft) -> None:
    draft.changes.append(PaymentFailed(body.payment_id, body.reason, order.command.time_us))


RULES: dict[type, Rule] = {
    SettlePayment: Rule("payment_settled", _refuse, _settle),
    FailPayment: Rule("payment_failed", _refuse, _fail),
}
