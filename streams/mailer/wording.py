"""The mail catalogue: how each kind of alert reads. Amounts exact (C7), instants UTC."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from schemas.instants import MICROS_PER_DAY
from streams.accounts.money import instant, usd
from streams.mailer.notice import Notice


@dataclass(frozen=True, slots=True)
class Content:
    """What a mail says. `facts` are pairs of label and value."""

    subject: str
    headline: str
    message: str
    facts: tuple[tuple[str, str], ...]
    advice: str


@dataclass(frozen=True, slots=True)
class _Wording:
    headline: Callable[[Notice], str]
    advice: str
    amount: str = "Amount"
    due: str = "Due"


def _days_left(notice: Notice) -> str:
    if notice.due_us is None:
        return "soon"
    days = -(-(notice.due_us - notice.time_us) // MICROS_PER_DAY)
    return "today" if days <= 0 else f"in {days} day{'' if days == 1 else 's'}"


def _contract(notice: Notice) -> str:
    if notice.percent is None:
        return "Contract usage"
    return (
        "The contract's requests are used up" if notice.percent >= 100 else f"{notice.percent} % of the contract used"
    )


_FUNDS = "Add funds or set up auto payment on the Plan & Usage page."

_WORDINGS: Mapping[str, _Wording] = {
    "low_balance": _Wording(
        lambda n: f"Low balance: {usd(n.available_micros)} left",
        f"{_FUNDS} Apps stop responding when no credit is left that they may use.",
    ),
    "zero_balance": _Wording(
        lambda _: "No credit left",
        f"{_FUNDS} Apps without credit of their own stop responding until then; building goes on.",
    ),
    "free_credit_expiring": _Wording(
        lambda n: f"Free credit expires {_days_left(n)}",
        "What is not used by then lapses.",
        "Expiring credit", "Expires",
    ),
    "free_credit_lapsed": _Wording(
        lambda _: "Free credit has lapsed",
        _FUNDS,
        "Lapsed credit", "Lapsed",
    ),
    "app_stopped": _Wording(
        lambda n: f"App {n.app} has stopped responding",
        f"{_FUNDS} The app responds again as soon as it has credit or a plan that it may use.",
    ),
    "app_responding": _Wording(lambda n: f"App {n.app} responds again", "There is nothing to do."),
    "payment_failed": _Wording(
        lambda _: "A payment failed",
        "Check the payment method on the Plan & Usage page, or add funds another way.",
        "Payment",
    ),
    "contract_usage": _Wording(
        _contract, "Talk to us about a larger contract if you expect to need more requests in this term."
    ),
    "renewal_due": _Wording(
        lambda n: f"A renewal is due {_days_left(n)}",
        "The fee is asked for by a payment request; it is not taken from credits.",
        "Fee",
    ),
    "licence_changed": _Wording(
        lambda _: "Product licences have changed",
        "The products page shows what can be created now.",
    ),
}  # fmt: skip

_OTHER = _Wording(lambda n: n.kind.replace("_", " ").capitalize(), "The Plan & Usage page shows more.")

KINDS = frozenset(_WORDINGS)
"""The kinds with a wording of their own; any other is mailed in general words."""


def content_of(notice: Notice) -> Content:
    """What the mail about an alert says."""
    wording = _WORDINGS.get(notice.kind, _OTHER)
    headline = wording.headline(notice)
    facts = [("Workspace", notice.workspace)]
    if notice.app is not None:
        facts.append(("App", notice.app))
    if notice.amount_micros is not None:
        facts.append((wording.amount, usd(notice.amount_micros)))
    if notice.due_us is not None:
        facts.append((wording.due, in_words(notice.due_us)))
    if notice.percent is not None:
        facts.append(("Used", f"{notice.percent} %"))
    if notice.threshold_micros:
        facts.append(("Threshold", usd(notice.threshold_micros)))
    facts += [("Credit left", usd(notice.available_micros)), ("Since", in_words(notice.time_us))]
    subject = f"[{notice.workspace}] {headline}"
    return Content(subject, headline, notice.message, tuple(facts), wording.advice)


def in_words(micros: int) -> str:
    """An instant for people: `2026-01-31 09:00:00 UTC`."""
    return instant(micros).replace("T", " ").replace("Z", " UTC")
