"""Payments: C4's moves, C10's auto payment with its guards, settlements and failures once."""

from __future__ import annotations

from schemas.changes import Contract
from schemas.commands import (
    ApproveUpgrade,
    CommandBody,
    CreateApp,
    FailPayment,
    MoveCredit,
    RequestFunds,
    SetAutoPayment,
    SettlePayment,
    StopAutoPayment,
)
from streams.accounts.policy import policy_of
from tests.accounts.story import CENT, DAY, HOUR, T0, USD, Story, Teller, amounts, catalog, command, create, funds
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


def test_a_failed_payment_that_is_settled_after_all_ends_the_row_of_failures() -> None:
    """C10: one retry, and both failed; the second is paid after all, and the next is asked for at once."""
    story, teller = funded(SetAutoPayment(1_000 * USD, 200 * USD, "card", retries=1, maximum_per_day=3))
    first = story.requests[-1].payment_id
    story.tell(say(FailPayment(first, "no cover"), T0 + 1), teller.clock(T0 + HOUR + 1))
    second = story.requests[-1].payment_id
    story.tell(say(FailPayment(second, "no cover"), T0 + 2 * HOUR), teller.clock(T0 + 6 * HOUR))
    assert len(story.requests) == 2
    story.tell(say(SettlePayment(second), T0 + 6 * HOUR), teller.clock(T0 + 6 * HOUR + 1))
    assert len(story.requests) == 3


def test_stopping_auto_payment_asks_for_nothing_more() -> None:
    """C10: not in the record that stops it either, when the pause after a failure is over."""
    story, teller = funded(AUTO)
    story.tell(teller.unit("u1"), say(FailPayment("acme/auto/4", "no cover"), T0 + 1), say(StopAutoPayment(), T0 + DAY))
    story.tell(teller.unit("u2", T0 + DAY), teller.clock(T0 + 2 * DAY))
    assert len(story.requests) == 1


def test_stopping_and_setting_anew_asks_for_no_second_payment_while_one_is_in_flight() -> None:
    """C10: one in flight per wallet, so many a day, whatever an owner switches off and on."""
    story, teller = funded(AUTO)
    story.tell(teller.unit("u1"))
    anew = SetAutoPayment(1_000 * USD, 200 * USD, "card", maximum_per_day=2)
    story.tell(say(StopAutoPayment()), say(anew), say(StopAutoPayment()), say(anew))
    assert [request.payment_id for request in story.requests] == ["acme/auto/4"]
    story.tell(say(StopAutoPayment()), say(SettlePayment("acme/auto/4")), say(anew))
    assert len(story.requests) == 2, "settled while it was off: the next is the second of the day"
    story.tell(say(SettlePayment(story.requests[-1].payment_id)), say(StopAutoPayment()), say(anew))
    story.tell(teller.clock(T0 + DAY - 1))
    assert len(story.requests) == 2, "two are the most of the day"
    story.tell(teller.clock(T0 + DAY))
    assert len(story.requests) == 3


def test_a_payment_that_leaves_shared_credit_below_is_followed_by_another_with_the_clock() -> None:
    """C10: also when no record comes that could ask for it, as of an app that has stopped."""
    story, teller = funded(SetAutoPayment(1_000 * USD, 200 * USD, "card", maximum_per_day=3))
    story.tell(say(SettlePayment(story.requests[-1].payment_id), T0 + 1))
    (second,) = story.tell(teller.clock(T0 + 2))
    assert (second.kind, second.time_us, len(story.requests)) == ("payment_requested", T0 + 2, 2)


def test_a_failure_told_when_its_pause_is_over_is_tried_again_with_the_clock() -> None:
    """C10: the payment failed at 0:00, and that is told at 5:00."""
    story, teller = funded(AUTO)
    story.tell(teller.unit("u1"), teller.clock(T0 + 5 * HOUR), say(FailPayment("acme/auto/4", "no cover"), T0 + 1))
    assert len(story.requests) == 1
    (retry,) = story.tell(teller.clock(T0 + 5 * HOUR + 1))
    assert (retry.kind, len(story.requests)) == ("payment_requested", 2)


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


def test_credit_that_an_owner_asks_for_is_added_when_it_is_paid_once() -> None:
    """C4, C10, W2: for an app, with an id of the command; what was asked for is no credit yet."""
    story, _ = funded(CreateApp("bot"))
    ask = command("k", RequestFunds(150 * USD, "wire", "bot"), T0 + 5, "workspace_owner")
    (asked,) = story.tell(ask)
    assert (asked.kind, asked.lines, asked.balances.paid_apps_micros) == ("payment_requested", (), 0)
    assert story.tell(ask) == [], "the same again asks for nothing"
    (request,) = story.requests
    assert (request.payment_id, request.purpose, request.subject, request.amount_micros, request.method) == (
        "acme/funds/k", "top_up", "credit/bot", 150 * USD, "wire"
    )  # fmt: skip
    (settled,) = story.tell(say(SettlePayment("acme/funds/k")))
    assert amounts(settled)[-1] == ("payment/acme/funds/k", 150 * USD)
    assert (settled.balances.paid_shared_micros, settled.balances.paid_apps_micros) == (100 * USD, 150 * USD)
    (again,) = story.tell(say(SettlePayment("acme/funds/k"), T0 + DAY))
    assert again.note == "payment_id: acme/funds/k is settled already (C10)."


def test_one_payment_by_hand_at_a_time_for_the_same_credit() -> None:
    """C10: a failed one is told and makes room; another app's, and auto payment's, are in nobody's way."""
    story, teller = funded(AUTO)
    story.tell(teller.unit("u1"), say(RequestFunds(100 * USD, "wire")), say(RequestFunds(100 * USD, "card", "bot")))
    assert [request.purpose for request in story.requests] == ["auto_top_up", "top_up", "top_up"]
    (refused,) = story.tell(say(RequestFunds(200 * USD, "card", "bot"), T0 + 9))
    assert refused.note == (
        f"app: USD 100.00 of credit of bot is asked for already, as {story.requests[-1].payment_id}, and not paid yet "
        "(C10)."
    )
    story.tell(say(FailPayment(story.requests[-1].payment_id, "no cover"), T0 + 10))
    assert story.alerts[-1].message == "The payment of USD 100.00 for credit/bot of workspace acme failed: no cover"
    assert (story.alerts[-1].kind, story.alerts[-1].app) == ("payment_failed", "bot")
    (asked,) = story.tell(say(RequestFunds(200 * USD, "card", "bot"), T0 + 11))
    assert asked.kind == "payment_requested"


def test_credit_bought_by_hand_allows_auto_payment_once_it_is_paid() -> None:
    """C10."""
    story = Story(POLICY)
    asked, refused = story.tell(create(), say(RequestFunds(100 * USD, "card")), say(AUTO))[1:]
    assert refused.note == "workspace: auto payment needs one purchase made by hand before it (C10)."
    story.tell(say(SettlePayment(story.requests[0].payment_id)))
    (accepted,) = story.tell(say(AUTO, T0 + 1))
    assert (asked.kind, accepted.kind) == ("payment_requested", "settings_changed")


def test_who_asks_for_which_credit() -> None:
    """W2, C4: an app owner for an own app only; never below the least or above the largest top-up."""
    story, _ = funded(CreateApp("bot"))
    notes = [
        story.tell(command(f"n{at}", body, T0 + at, role))[0].note
        for at, (body, role) in enumerate([
            (RequestFunds(100 * USD, "card"), "app_owner"),
            (RequestFunds(100 * USD, "card", "shop"), "operator"),
            (RequestFunds(99 * USD, "card"), "operator"),
            (RequestFunds(20_001 * USD, "card"), "operator"),
            (RequestFunds(100 * USD, "card"), "collaborator"),
        ])
    ]  # fmt: skip
    assert notes == [
        "app: an app owner asks for credit of an own app; for what all apps share a workspace owner does (W2).",
        "app: shop does not exist; it must be created first (W1).",
        "amount_micros: USD 99.00 is below the least top-up, USD 100.00 (C4).",
        "amount_micros: USD 20,001.00 is above the largest top-up, USD 20,000.00 (C4).",
        "actor.role: collaborator may not ask to buy credit; operator or workspace owner or app owner may (W2, W3).",
    ]
