"""Payments: C4's moves, C10's auto payment with its guards, settlements and failures once."""

from __future__ import annotations

from schemas.changes import Contract
from schemas.commands import (
    ApproveUpgrade,
    CommandBody,
    FailPayment,
    MoveCredit,
    SetAutoPayment,
    SettlePayment,
    StopAutoPayment,
)
from streams.accounts.policy import policy_of
from tests.accounts.story import CENT, DAY, HOUR, T0, USD, Story, Teller, amounts, catalog, create, funds
from tests.accounts.test_plans import say

POLICY = policy_of(catalog(free_credit={"usd": "0"}))
AUTO = SetAutoPayment(100 * USD, 200 * USD, "card", retries=1, maximum_per_day=2)


def funded(*bodies: CommandBody) -> tuple[Story, Teller]:
    """A workspace with 100 dollars of shared paid credit."""
    story, teller = Story(POLICY), Teller()
    story.tell(create(), funds(100 * USD, "f"), *(say(body) for body in bodies))
    return story, teller


def test_credit_is_moved_from_the_oldest_grants_into_one_of_the_app_and_back() -> None:
    """C4, L1: 100 and 150 shared; 120 to bot, 20 back."""
    story, _ = funded()
    story.tell(funds(150 * USD, "g", T0 + 1))
    there, back = story.tell(say(MoveCredit(120 * USD, to_app="bot")), say(MoveCredit(20 * USD, from_app="bot")))
    assert [amount for _, amount in amounts(there)] == [-100 * USD, -20 * USD, 120 * USD]
    assert (there.kind, there.balances.paid_shared_micros, there.balances.paid_apps_micros) == (
        "credit_moved", 130 * USD, 120 * USD
    )  # fmt: skip
    assert (back.balances.paid_shared_micros, back.balances.paid_apps_micros) == (150 * USD, 100 * USD)
    (refused,) = story.tell(say(MoveCredit(101 * USD, from_app="bot")))
    assert refused.note == "amount_micros: USD 101.00 is more than the paid credit of bot, USD 100.00 (C4)."
    (same,) = story.tell(say(MoveCredit(1, "bot", "bot")))
    assert same.note == "to_app: credit stays where it is (C4)."


def test_moved_credit_settles_what_the_app_owes() -> None:
    """C6."""
    story, teller = Story(POLICY), Teller()
    story.tell(create(), teller.unit("u"), funds(100 * USD, "f", app="shop"), say(MoveCredit(USD, "shop", "bot")))
    assert story.balance("due:bot") == 0
    assert story.ledger[-1].balances.paid_apps_micros == 99_80 * CENT


def test_a_payment_is_asked_for_when_shared_credit_falls_below_and_brings_credit_when_settled() -> None:
    """C10: below 100 dollars ask for 200, in the record of the charge itself; one in flight."""
    story, teller = funded(AUTO)
    assert story.requests == [], "100 is not below 100"
    charged, _ = story.tell(teller.unit("u1"), teller.unit("u2"))
    assert [type(change).__name__ for change in charged.changes] == ["AppAppeared", "PaymentRequested"]
    (request,) = story.requests
    assert (request.payment_id, request.amount_micros, request.method, request.sequence) == (
        "acme/auto/4", 200 * USD, "card", 4
    )  # fmt: skip
    (settled,) = story.tell(say(SettlePayment("acme/auto/4")))
    assert settled.balances.paid_shared_micros == 29_960 * CENT
    (again,) = story.tell(say(SettlePayment("acme/auto/4")))
    assert again.note == "payment_id: acme/auto/4 is settled already (C10)."


def test_a_payment_is_asked_for_after_ordinary_charges_too() -> None:
    """C10: with auto payment on, no charge is an ordinary one; the threshold lies far above that of any alert."""
    story, teller = funded(SetAutoPayment(9_950 * CENT, 200 * USD, "card", retries=1, maximum_per_day=2))
    asked = [len(story.requests) for at in range(5) if story.tell(teller.unit(f"u{at}", T0 + DAY + at))]
    assert asked == [0, 0, 1, 1, 1], "99.40 is below 99.50"


def test_a_failed_payment_is_told_and_tried_again_after_a_pause_no_more_than_set() -> None:
    """C10, A1: one hour, one retry; a new setting begins anew."""
    story, teller = funded(AUTO)
    story.tell(teller.unit("u1"), say(FailPayment("acme/auto/4", "no cover"), T0 + 1), teller.unit("u2"))
    assert story.kinds[-1] == "payment_failed"
    assert story.alerts[-1].message == "The payment of USD 200.00 for credit of workspace acme failed: no cover"
    assert story.tell(teller.clock(T0 + HOUR)) == []
    (retry,) = story.tell(teller.clock(T0 + HOUR + 1))
    assert retry.kind == "payment_requested"
    story.tell(say(FailPayment(story.requests[-1].payment_id, "no cover"), T0 + 2 * HOUR))
    assert story.tell(teller.clock(T0 + 3 * DAY)) == []
    (anew,) = story.tell(say(AUTO, T0 + 3 * DAY))
    assert len(anew.changes) == 2


def test_stopping_auto_payment_asks_for_nothing_more() -> None:
    """C10: not in the record that stops it either, when the pause after a failure is over."""
    story, teller = funded(AUTO)
    story.tell(teller.unit("u1"), say(FailPayment("acme/auto/4", "no cover"), T0 + 1), say(StopAutoPayment(), T0 + DAY))
    story.tell(teller.unit("u2", T0 + DAY), teller.clock(T0 + 2 * DAY))
    assert len(story.requests) == 1


def test_no_more_payments_a_day_are_asked_for_than_set() -> None:
    """C10: two; the next one when the day is over."""
    story, teller = funded(SetAutoPayment(1_000 * USD, 100 * USD, "ach", maximum_per_day=2))
    for _ in range(2):
        story.tell(say(SettlePayment(story.requests[-1].payment_id)), teller.unit(f"u{story.told}"))
    assert len(story.requests) == 2
    story.tell(teller.clock(T0 + DAY - 1))
    assert len(story.requests) == 2
    story.tell(teller.clock(T0 + DAY))
    assert len(story.requests) == 3


def test_auto_payment_needs_a_purchase_made_by_hand_and_no_wire() -> None:
    """C10."""
    story = Story(POLICY)
    _, refused = story.tell(create(), say(AUTO))
    assert refused.note == "workspace: auto payment needs one purchase made by hand before it (C10)."
    story, _ = funded()
    notes = [r.note for r in story.tell(say(SetAutoPayment(1, 100 * USD, "wire")), say(StopAutoPayment()))]
    assert notes == [
        "method: a wire transfer cannot be asked for by itself; card or ach can (C10).",
        "workspace: auto payment is not on (C10).",
    ]


def test_a_fee_in_flight_does_not_hold_up_a_top_up() -> None:
    """C10, P8: one in flight per wallet; a fee is no top-up."""
    story, teller = funded(AUTO, ApproveUpgrade(Contract(1 * USD, 0, "monthly", "overage", 20 * CENT)))
    story.tell(teller.unit("s", kind="session"))
    assert [request.purpose for request in story.requests] == ["contract", "auto_top_up"]
