"""Support plans, and what is cancelled and resumed: P7, P8, P1, with amounts in plain figures."""

from __future__ import annotations

import pytest

from schemas.changes import Contract
from schemas.commands import (
    ApproveUpgrade,
    CancelPlan,
    CancelSupport,
    CommandBody,
    CreateApp,
    EndContract,
    FailPayment,
    PublishApp,
    SettlePayment,
    Subscribe,
    SubscribeSupport,
)
from streams.accounts.policy import policy_of
from streams.accounts.support import support_at
from tests.accounts.story import DAY, T0, USD, Story, Teller, amounts, catalog, create
from tests.accounts.test_plans import FEBRUARY, SMALL, costs, say, told

FEE = f"acme/fee/support/{T0}"
MARCH = FEBRUARY + 28 * DAY


def support(story: Story, at_us: int = T0, app: str = "") -> str:
    """The support plan of the workspace, or of an app."""
    account = story.account()
    return support_at(account, at_us, story.machine.policy, account.apps.get(app))


def note(story: Story, body: CommandBody, at_us: int = T0, role: str = "workspace_owner") -> str:
    """Why a command is refused; "" if it is not."""
    return story.tell(say(body, at_us, role))[0].note


def test_basic_support_comes_with_every_published_app() -> None:
    """P7: none before; the entitlement says it."""
    story = Story(SMALL)
    story.tell(create(), say(CreateApp("bot")), say(CreateApp("shop")))
    assert (support(story), support(story, app="bot")) == ("", "")
    story.tell(say(PublishApp("bot")))
    assert (support(story), support(story, app="bot"), support(story, app="shop")) == ("basic", "basic", "")
    assert story.entitlements[-1].support_plan == "basic"


def test_standard_support_costs_1000_a_month_by_payment_request_and_never_credit() -> None:
    """P7, P8: asked for in January and in February; recorded when settled."""
    story, teller = told(SubscribeSupport())
    assert (support(story), support(story, app="bot")) == ("standard", "standard")
    assert story.entitlements[-1].support_plan == "standard"
    (settled,) = story.tell(say(SettlePayment(FEE)))
    assert amounts(settled) == [("fees:support", 1_000 * USD), ("received", -1_000 * USD)]
    story.tell(teller.clock(FEBRUARY - 7 * DAY), teller.clock(FEBRUARY))
    assert [(r.payment_id, r.purpose, r.subject, r.amount_micros, r.due_us) for r in story.requests] == [
        (FEE, "support", "support", 1_000 * USD, T0),
        (f"acme/fee/support/{FEBRUARY}", "support", "support", 1_000 * USD, FEBRUARY),
    ]
    assert story.alerts[-1].message == (
        "The fee of USD 1,000.00 for support of workspace acme is due at 2026-02-01T00:00:00Z."
    )
    assert story.account().available_micros == 500 * USD


def test_unpaid_support_falls_back_to_basic_when_the_grace_is_over() -> None:
    """P7, P8: 7 days; it can be subscribed to anew then."""
    story, teller = told(SubscribeSupport(), FailPayment(FEE, "no cover"))
    story.tell(teller.clock(T0 + 7 * DAY - 1))
    assert support(story, T0 + 7 * DAY - 1) == "standard"
    story.tell(teller.clock(T0 + 7 * DAY))
    assert (support(story, T0 + 7 * DAY), story.entitlements[-1].support_plan) == ("basic", "basic")
    assert note(story, SubscribeSupport(), T0 + 8 * DAY) == ""
    assert story.requests[-1].payment_id == f"acme/fee/support/{T0 + 8 * DAY}"


def test_cancelled_support_ends_with_its_month_and_can_be_resumed_until_then() -> None:
    """P7, P8: no second fee for January; the next one is February's."""
    story, teller = told(SubscribeSupport(), SettlePayment(FEE), CancelSupport())
    assert note(story, CancelSupport()) == "workspace: its support ends at 2026-02-01T00:00:00Z already (P7)."
    assert note(story, SubscribeSupport(), T0 + DAY) == ""
    assert len(story.requests) == 1
    story.tell(teller.clock(FEBRUARY))
    assert len(story.requests) == 2
    story.tell(say(CancelSupport(), FEBRUARY), say(SettlePayment(story.requests[-1].payment_id), FEBRUARY))
    story.tell(teller.clock(MARCH))
    assert (support(story, MARCH - 1), support(story, MARCH), len(story.requests)) == ("standard", "basic", 2)
    assert note(story, CancelSupport(), MARCH) == "workspace: it has no paid support to cancel (P7)."


def test_support_that_begins_after_the_newest_unit_is_told_when_the_clock_gets_there() -> None:
    """P7, U10: what is taken takes effect after every unit already had."""
    story, teller = told()
    story.tell(teller.clock(T0 + 1), teller.unit("u", T0 + DAY), say(SubscribeSupport(), T0 + 2))
    story.tell(teller.clock(T0 + DAY + 1))
    assert story.entitlements[-1].support_plan == "standard"


@pytest.mark.parametrize(
    ("body", "role", "why"),
    [
        (SubscribeSupport(), "workspace_owner", "plan: the workspace has standard support already (P7)."),
        (SubscribeSupport("basic"), "operator", "plan: basic support cannot be subscribed to; standard can (P7)."),
        (SubscribeSupport("gold"), "operator", "plan: gold support cannot be subscribed to; standard can (P7)."),
    ],
)
def test_support_that_cannot_be_taken_is_refused(body: CommandBody, role: str, why: str) -> None:
    """P7."""
    story, _ = told(SubscribeSupport())
    assert note(story, body, role=role) == why


def test_an_operator_may_agree_on_a_higher_fee_and_nobody_on_a_lower_one() -> None:
    """P7: from 1,000."""
    story, teller = told()
    assert note(story, SubscribeSupport(monthly_micros=1_500 * USD)) == (
        "monthly_micros: only an operator agrees on another fee than USD 1,000.00 a month (P7)."
    )
    assert note(story, SubscribeSupport(monthly_micros=999 * USD), role="operator") == (
        "monthly_micros: USD 999.00 is below the least fee, USD 1,000.00 a month (P7)."
    )
    assert note(story, SubscribeSupport(monthly_micros=1_500 * USD), role="operator") == ""
    story.tell(say(SettlePayment(FEE)), say(CancelSupport()))
    assert note(story, SubscribeSupport(monthly_micros=2_000 * USD), role="operator") == (
        "monthly_micros: what was cancelled goes on at its own fee, USD 1,500.00 a month (P8)."
    )
    assert note(story, SubscribeSupport()) == ""
    story.tell(teller.clock(FEBRUARY))
    assert [r.amount_micros for r in story.requests] == [1_500 * USD] * 2


def test_enterprise_support_comes_with_a_contract_in_the_place_of_standard_support() -> None:
    """P7, P3: or what the contract says."""
    story, teller = told(SubscribeSupport(), SettlePayment(FEE))
    story.tell(say(ApproveUpgrade(Contract(0, 10, "yearly", "block")), T0 + DAY), teller.clock(FEBRUARY))
    assert (support(story, T0 + DAY), len(story.requests)) == ("enterprise", 1)
    assert note(story, SubscribeSupport(), FEBRUARY) == "workspace: its contract brings enterprise support (P7)."
    story.tell(say(EndContract("over"), FEBRUARY))
    assert support(story, FEBRUARY) == "basic"
    plain = Contract(0, 10, "yearly", "block", support_plan="basic")
    story.tell(say(ApproveUpgrade(plain), FEBRUARY))
    assert (support(story, FEBRUARY), note(story, SubscribeSupport(), FEBRUARY)) == ("basic", "")
    strange = ApproveUpgrade(Contract(0, 10, "yearly", "block", support_plan="gold"))
    assert note(story, strange, role="operator") == (
        "contract.support_plan: gold is no support plan; there are basic, standard, enterprise (P7)."
    )


def test_the_fee_is_the_one_of_the_catalog_when_support_is_taken() -> None:
    """P1, P7: a later version is for those who come later."""
    fees = [
        {"from": "2000-01-01T00:00:00Z", "monthly_usd": "1000"},
        {"from": "2026-01-15T00:00:00Z", "monthly_usd": "1200"},
    ]
    base = catalog()
    dated = [
        plan.model_copy(update={"fees": type(plan).model_validate({"id": "x", "title": "x", "fees": fees}).fees})
        if plan.id == "standard" else plan
        for plan in base.support_plans
    ]  # fmt: skip
    story, teller = Story(policy_of(base.model_copy(update={"support_plans": tuple(dated)}))), Teller()
    story.tell(create(), say(SubscribeSupport()), say(SettlePayment(FEE)), teller.clock(FEBRUARY))
    assert [r.amount_micros for r in story.requests] == [1_000 * USD] * 2
    story.tell(teller.clock(FEBRUARY + 7 * DAY), say(SubscribeSupport(), FEBRUARY + 8 * DAY))
    assert story.requests[-1].amount_micros == 1_200 * USD


def test_a_cancelled_plan_is_resumed_until_it_ends_without_another_fee() -> None:
    """P4, P8: and the same included units; cancelled again, it ends with its term."""
    fee = f"acme/fee/app/bot/{T0}"
    story, teller = told(Subscribe("bot", "essential", "monthly"), SettlePayment(fee), CancelPlan("bot"))
    story.tell(*(teller.unit(f"u{i}", T0 + DAY + i) for i in range(2)))
    assert note(story, Subscribe("bot", "essential", "monthly"), T0 + 2 * DAY) == ""
    assert note(story, Subscribe("bot", "essential", "monthly"), T0 + 2 * DAY) == (
        "plan: bot is on Essential monthly already (P4)."
    )
    story.tell(teller.unit("u2", T0 + 3 * DAY))
    assert [c[2] for c in costs(story)] == ["included", "included", ""]
    assert len(story.requests) == 1
    story.tell(teller.clock(FEBRUARY), teller.unit("v", FEBRUARY))
    assert (len(story.requests), costs(story)[-1]) == (2, ("essential", 0, "included"))
    story.tell(say(SettlePayment(story.requests[-1].payment_id)), say(CancelPlan("bot"), FEBRUARY))
    story.tell(teller.clock(MARCH), teller.unit("w", MARCH))
    assert (len(story.requests), costs(story)[-1][0]) == (2, "standard")
    assert note(story, Subscribe("bot", "essential", "monthly"), MARCH) == ""
    assert len(story.requests) == 3, "a new subscription"


def test_a_plan_that_ended_unpaid_is_not_resumed_but_taken_anew() -> None:
    """P8: the fee is asked for again."""
    story, teller = told(Subscribe("bot", "essential", "monthly"), CancelPlan("bot"))
    story.tell(teller.clock(T0 + 7 * DAY))
    assert note(story, Subscribe("bot", "essential", "monthly"), T0 + 7 * DAY) == ""
    assert [r.due_us for r in story.requests] == [T0, T0 + 7 * DAY]


def test_each_fee_has_an_id_of_its_own_even_from_the_same_instant() -> None:
    """C10: the payment system must not take the second one for the first."""
    story, _ = told(Subscribe("bot", "essential", "monthly"), Subscribe("bot", "advanced", "monthly"))
    fee = f"acme/fee/app/bot/{T0}"
    assert [(r.payment_id, r.amount_micros) for r in story.requests] == [(fee, 50 * USD), (f"{fee}/2", 150 * USD)]
    story.tell(say(SettlePayment(fee)), say(SettlePayment(f"{fee}/2")))
    assert story.balance("fees:subscription") == 200 * USD
