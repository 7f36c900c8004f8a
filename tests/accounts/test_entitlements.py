"""Entitlements and what is told of them: E1-E4, P6, C11, A1, A2."""

from __future__ import annotations

import pytest

from schemas.changes import Contract
from schemas.commands import ApproveUpgrade, SetAlerts, SettlePayment, StartTrial, Subscribe, UnpublishApp
from streams.accounts.policy import policy_of
from streams.accounts.standing import balance_status, burning
from tests.accounts.story import CENT, DAY, HOUR, T0, USD, Story, Teller, catalog, create, funds
from tests.accounts.test_plans import say, told

ONE_DOLLAR = policy_of(catalog(free_credit={"usd": "1"}, top_up={"minimum_usd": "0.10", "maximum_usd": "20000"}))


def seen(story: Story) -> list[tuple[str, bool, str, int]]:
    """(app, allowed, why, allowed requests) of all entitlements so far."""
    return [(e.app, e.allowed, e.why, e.allowed_requests) for e in story.entitlements]


def test_an_entitlement_is_published_when_the_allowed_requests_have_halved_and_when_the_app_stops() -> None:
    """E1, E3: five conversations of 0.20; 4, 2 to 3, 1 and none; each names the ledger record it rests on."""
    story, teller = Story(ONE_DOLLAR), Teller()
    story.tell(create(), *(teller.unit(f"u{i}", T0 + i) for i in range(7)))
    assert seen(story) == [
        ("bot", True, "has_credit", 4),
        ("bot", True, "has_credit", 3),
        ("bot", True, "has_credit", 1),
        ("bot", False, "no_credit", 0),
    ]
    assert [e.sequence for e in story.entitlements] == [2, 3, 5, 6]
    assert [e.since_us - T0 for e in story.entitlements] == [0, 0, 0, 4]
    assert story.outputs[-1].topic != "entitlements", "what is owed changes nothing more"
    assert story.entitlements[0].rate_limits["requests_per_minute"] == 60


def test_an_app_without_credit_stops_and_responds_again_when_credit_is_added() -> None:
    """E1, A1: told once each way; the app's own credit lets that app alone respond."""
    story, teller = Story(ONE_DOLLAR), Teller()
    story.tell(create(), teller.unit("v", app="shop"), *(teller.unit(f"u{i}", T0 + i) for i in range(4)))
    assert [(a.kind, a.app) for a in story.alerts][2:] == [("app_stopped", "bot"), ("app_stopped", "shop")]
    story.tell(funds(10 * CENT, "f", T0 + HOUR, app="shop"))
    assert [(a.kind, a.app) for a in story.alerts][4:] == [("app_responding", "shop")]
    assert story.alerts[-1].message == "App shop of workspace acme responds again: has credit."
    assert seen(story)[-1] == ("shop", True, "has_credit", 0)


def test_an_app_stops_when_the_last_of_its_own_credit_is_used_exactly() -> None:
    """E1, C5: 0.40 of its own, nothing shared, two conversations of 0.20."""
    policy = policy_of(catalog(free_credit={"usd": "0"}, top_up={"minimum_usd": "0.10", "maximum_usd": "20000"}))
    story, teller = Story(policy), Teller()
    story.tell(create(), funds(40 * CENT, "f", app="bot"), funds(40 * CENT, "g", app="shop"))
    story.tell(teller.unit("s", app="shop"), teller.unit("u"), teller.unit("v"))
    assert seen(story)[-1] == ("bot", False, "no_credit", 0)
    assert [(alert.kind, alert.app) for alert in story.alerts][-1] == ("app_stopped", "bot")


def test_credit_that_expires_stops_the_app_by_now() -> None:
    """E1, C3: at the expiry, not at the lapse a day later."""
    story, teller = Story(), Teller()
    story.tell(create(), teller.unit("u"), teller.clock(T0 + 90 * DAY))
    assert seen(story)[-1] == ("bot", False, "no_credit", 0)
    assert story.entitlements[-1].since_us == T0 + 90 * DAY
    assert story.kinds[-1] == "app_stopped"


def test_drafts_and_unpublished_apps_are_not_allowed_and_raise_no_alert() -> None:
    """E4, E1."""
    story, _ = told()
    story.tell(say(UnpublishApp("bot"), T0 + HOUR))
    assert [(allowed, why) for _, allowed, why, _ in seen(story)] == [
        (False, "draft"), (True, "has_credit"), (False, "unpublished")
    ]  # fmt: skip
    assert story.kinds == []


def test_a_trial_that_is_used_up_stops_the_app_until_it_ends() -> None:
    """P11, E1: two sessions; Standard after 14 days, by the clock alone."""
    story, teller = told(StartTrial("bot"))
    story.tell(*(teller.unit(f"s{i}", T0 + HOUR, kind="session") for i in range(2)))
    assert seen(story)[-1] == ("bot", False, "trial_used_up", 0)
    story.tell(teller.clock(T0 + 14 * DAY - 1))
    assert seen(story)[-1][1] is False
    story.tell(teller.clock(T0 + 14 * DAY))
    assert (seen(story)[-1], story.entitlements[-1].plan) == (("bot", True, "has_credit", 2500), "standard")
    assert story.kinds == ["app_stopped", "app_responding"]


def test_a_new_term_brings_new_included_units_by_the_clock_alone() -> None:
    """P4, E3: two included and 500 dollars."""
    story, teller = told(
        Subscribe("bot", "essential", "monthly"),
    )
    story.tell(*(teller.unit(f"u{i}", T0 + i) for i in range(2)))
    assert seen(story)[-1] == ("bot", True, "has_credit", 2500)
    story.tell(teller.clock(T0 + 6 * DAY))
    before = len(story.entitlements)
    story.tell(teller.clock(T0 + 7 * DAY))
    assert [e.plan for e in story.entitlements[before:]] == ["standard"], "unpaid"


def _contract(past: str, allowed: int = 10, price: int = 0) -> ApproveUpgrade:
    return ApproveUpgrade(Contract(price, allowed, "monthly", past, rate_limits={"requests_per_minute": 900}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("past", "last"), [("block", (False, "contract_used_up")), ("overage", (True, "overage_agreed"))]
)
def test_a_contract_allows_its_requests_and_tells_at_80_and_100_percent(past: str, last: tuple[bool, str]) -> None:
    """E2, E3, P6, A1: ten sessions, of all apps together."""
    story, teller = told(_contract(past))
    story.tell(*(teller.unit(f"s{i}", T0 + HOUR, kind="session", app=("bot", "shop")[i % 2]) for i in range(10)))
    usage = [a.message for a in story.alerts if a.kind == "contract_usage"]
    assert usage == [
        "Workspace acme has used 8 of the 10 requests of its contract's term (80 %).",
        "Workspace acme has used 10 of the 10 requests of its contract's term (100 %).",
    ]
    newest = {e.app: e for e in story.entitlements}
    assert {(e.allowed, e.why) for e in newest.values()} == {last}
    assert newest["bot"].rate_limits["requests_per_minute"] == 900
    story.tell(teller.unit("s9", T0 + HOUR, "retracted", kind="session"), teller.unit("t", T0 + HOUR, kind="session"))
    assert len([a for a in story.alerts if a.kind == "contract_usage"]) == 2, "A2"


def test_a_renewal_is_told_seven_days_before_and_once() -> None:
    """A1."""
    story, teller = told(_contract("block", price=9 * USD), SettlePayment(f"acme/fee/contract/{T0}"))
    story.tell(teller.clock(T0 + 24 * DAY - 1))
    assert story.kinds == []
    story.tell(teller.clock(T0 + 24 * DAY), teller.clock(T0 + 25 * DAY), teller.clock(T0 + 30 * DAY))
    assert [(a.kind, a.message) for a in story.alerts] == [
        ("renewal_due", "The fee of USD 9.00 for contract of workspace acme is due at 2026-02-01T00:00:00Z.")
    ]


def test_thresholds_can_be_amounts_and_percentages_of_the_credit_last_added() -> None:
    """A1, A2: below 0.80, and below 50 % of the 1.00 given; then of the 0.40 added."""
    story, teller = Story(ONE_DOLLAR), Teller()
    story.tell(create(), say(SetAlerts((80 * CENT,), (50,))))
    story.tell(*(teller.unit(f"u{i}", T0 + i) for i in range(4)))
    low = [a.threshold_micros for a in story.alerts if a.kind == "low_balance"]
    assert low == [50 * USD, 80 * CENT, 50 * CENT]
    story.tell(funds(40 * CENT, "f"), teller.unit("x"), teller.unit("y"))
    assert [a.threshold_micros for a in story.alerts if a.kind == "low_balance"][3:] == []
    story.tell(teller.unit("z"))
    assert story.kinds[-2:] == ["zero_balance", "app_stopped"]


def test_a_threshold_that_was_told_is_not_told_again_when_it_is_set_anew() -> None:
    """A2: below 50 dollars is told; then they are set as 50 and 20, and 20 is crossed."""
    story, teller = Story(policy_of(catalog(free_credit={"usd": "20.10"}))), Teller()
    story.tell(create(), say(SetAlerts((50 * USD, 20 * USD), ())))
    assert [a.threshold_micros for a in story.alerts] == [50 * USD]
    story.tell(teller.unit("u"))
    assert [a.threshold_micros for a in story.alerts] == [50 * USD, 20 * USD]


def test_balance_status_and_burn_rate() -> None:
    """C11: 14 conversations in the seven days before, 2.80 USD: 2 a day, 0.40 a day, 497.00 left."""
    story, teller = Story(), Teller()
    story.tell(
        create(), *(teller.unit(f"u{i}", T0 + i % 7 * DAY) for i in range(14)), teller.unit("today", T0 + 7 * DAY)
    )
    account = story.account()
    assert burning(account, T0 + 7 * DAY) == (2, 40 * CENT, 1242)
    assert balance_status(account) == "using_free_credits"
    story.tell(funds(100 * USD, "f"), teller.clock(T0 + 90 * DAY))
    assert balance_status(story.account()) == "sufficient_funds"
    assert burning(account, T0 + 90 * DAY) == (0, 0, None)
