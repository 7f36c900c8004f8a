"""Apps and plans: E4, P3, P4, P8, P9, P11, P12, U10, with amounts in plain figures."""

from __future__ import annotations

import pytest

from schemas.changes import Contract, PaymentRequested
from schemas.commands import (
    ApproveUpgrade,
    CancelPlan,
    Command,
    CommandBody,
    CreateApp,
    DeclineUpgrade,
    EndContract,
    FailPayment,
    PublishApp,
    RequestUpgrade,
    SettlePayment,
    StartTrial,
    Subscribe,
    UnpublishApp,
)
from schemas.instants import micros_of_text
from streams.accounts.policy import policy_of
from streams.accounts.terms import after_months, term_at
from tests.accounts.naive import months_later
from tests.accounts.story import CENT, DAY, HOUR, T0, USD, Story, Teller, amounts, catalog, command, create

SMALL = policy_of(
    catalog(
        plans=[
            {"id": "trial", "trial": {"days": 14, "included": 2}},
            {
                "id": "essential",
                "offers": [{"period": "monthly", "from": "2000-01-01T00:00:00Z", "fee_usd": "50", "included": 2}],
            },
        ]
    )
)
FEBRUARY = T0 + 31 * DAY
FEE = f"acme/fee/app/bot/{T0}"


def say(body: CommandBody, time_us: int = T0, role: str = "operator") -> Command:
    """A command with an id of its own."""
    say.count = getattr(say, "count", 0) + 1  # type: ignore[attr-defined]
    return command(f"say-{say.count}", body, time_us, role)  # type: ignore[attr-defined]


def told(*bodies: CommandBody) -> tuple[Story, Teller]:
    """A workspace with a published app, and more."""
    story, teller = Story(SMALL), Teller()
    story.tell(create(), say(CreateApp("bot")), say(PublishApp("bot")), *(say(body) for body in bodies))
    return story, teller


def costs(story: Story) -> list[tuple[str, int, str]]:
    """(plan, price, covered) of every charge so far; taken back ones have a negative price."""
    charges = [charge for record in story.ledger for charge in record.charges]
    return [(c.plan, -c.price_micros if c.reversed else c.price_micros, c.covered) for c in charges]


def test_units_of_a_draft_are_posted_at_no_cost_until_it_is_published() -> None:
    """E4, law 7: before, from, and after publication, by the unit's start."""
    story, teller = Story(), Teller()
    story.tell(create(), say(CreateApp("bot")), teller.unit("u1", T0 + 1), say(PublishApp("bot"), T0 + HOUR))
    story.tell(teller.unit("u2", T0 + HOUR - 1), teller.unit("u3", T0 + HOUR))
    story.tell(
        say(UnpublishApp("bot"), T0 + 2 * HOUR), teller.unit("u4", T0 + 2 * HOUR - 1), teller.unit("u5", T0 + DAY)
    )
    free, paid = ("standard", 0, "unpublished"), ("standard", 20 * CENT, "")
    assert costs(story) == [free, free, paid, paid, free]
    assert amounts(story.ledger[2]) == [("usage:conversation", 0)]


def test_an_app_first_seen_by_a_unit_is_published_on_standard_for_earlier_units_too() -> None:
    """E4, Decided: it cannot be created afterwards."""
    story, teller = Story(), Teller()
    story.tell(create(), teller.unit("u1", T0 + HOUR), teller.unit("u2", T0))
    assert costs(story) == [("standard", 20 * CENT, "")] * 2
    (refused,) = story.tell(say(CreateApp("bot")))
    assert refused.note == "app: bot exists already, created by its first unit (W1)."


def test_a_trial_includes_its_sessions_and_goes_on_as_standard() -> None:
    """P11: two sessions, none past them, 14 days; conversations are counted and not charged in it (U10)."""
    story, teller = told(StartTrial("bot"))
    story.tell(*(teller.unit(f"s{i}", T0 + HOUR, kind="session") for i in range(3)), teller.unit("c", T0 + HOUR))
    story.tell(teller.unit("late", T0 + 14 * DAY - 1, kind="session"), teller.unit("c2", T0 + 14 * DAY))
    assert [c[1:] for c in costs(story)] == [(0, "included")] * 2 + [(0, "beyond")] * 2 + [(20 * CENT, "")]
    assert costs(story)[-1][0] == "standard"
    (again,) = story.tell(say(StartTrial("bot"), T0 + 20 * DAY))
    assert again.note == "app: bot has had its trial (P11)."


def test_a_trial_comes_before_any_subscription_also_before_one_that_has_ended() -> None:
    """P11: one that fell back to Standard unpaid, and one that a contract ended."""
    story, teller = told(Subscribe("bot", "essential", "monthly"))
    _, refused = story.tell(teller.clock(T0 + 7 * DAY), say(StartTrial("bot"), T0 + 7 * DAY))
    assert refused.note == "app: bot has had a subscription; a trial comes before one (P11)."
    story, _ = told(Subscribe("bot", "essential", "monthly"), ApproveUpgrade(_contract("block")))
    story.tell(say(EndContract("over"), T0 + DAY))
    (refused,) = story.tell(say(StartTrial("bot"), T0 + DAY))
    assert refused.note == "app: bot has had a subscription; a trial comes before one (P11)."


def test_a_subscription_includes_units_a_term_and_charges_its_price_past_them() -> None:
    """P4: two a month, then 0.20 from credits; the next month has its own two."""
    story, teller = told(Subscribe("bot", "essential", "monthly"), SettlePayment(FEE))
    story.tell(*(teller.unit(f"u{i}", T0 + HOUR + i) for i in range(3)))
    story.tell(teller.unit("v", FEBRUARY - 1), teller.unit("w", FEBRUARY))
    assert [c[1:] for c in costs(story)] == [(0, "included")] * 2 + [(20 * CENT, "")] * 2 + [(0, "included")]
    assert story.left("welcome") == 49_960 * CENT


def test_a_place_that_is_freed_goes_to_the_oldest_unit_past_the_included_ones() -> None:
    """P4, law 4: in one record; its price comes back."""
    story, teller = told(Subscribe("bot", "essential", "monthly"))
    story.tell(*(teller.unit(f"u{i}", T0 + HOUR - i) for i in range(4)))
    (record,) = story.tell(teller.unit("u0", T0 + HOUR, "retracted"))
    assert [(c.unit_id, c.price_micros, c.covered, c.reversed) for c in record.charges] == [
        ("u0", 0, "included", True),
        ("u3", 20 * CENT, "", True),
        ("u3", 0, "included", False),
    ]
    assert story.left("welcome") == 49_980 * CENT
    assert record.kind == "reversal"


def test_late_units_of_a_plan_that_has_changed_four_times_since_do_not_find_its_included_units_free_again() -> None:
    """P4: two are included, a third of that term costs 0.20, whenever it comes."""
    story, teller = told(Subscribe("bot", "essential", "monthly"))
    story.tell(teller.unit("a1", T0 + 1), teller.unit("a2", T0 + 2))
    for hour in range(1, 5):
        story.tell(say(Subscribe("bot", ("essential", "advanced")[hour % 2], "monthly"), T0 + hour * HOUR))
        story.tell(teller.unit(f"b{hour}", T0 + hour * HOUR))
    assert [cost[1:] for cost in costs(story)] == [(0, "included")] * 6
    story.tell(teller.unit("a3", T0 + 3))
    assert costs(story)[-1] == ("essential", 20 * CENT, "")
    story.tell(teller.unit("a1", T0 + 1, "retracted"))
    assert costs(story)[-2:] == [("essential", -20 * CENT, ""), ("essential", 0, "included")]


def test_a_fee_is_asked_for_at_once_and_at_each_renewal_and_is_no_credit() -> None:
    """P8, C10: 50 in January, 50 in February."""
    story, teller = told(Subscribe("bot", "essential", "monthly"))
    assert story.ledger[-1].changes[-1] == PaymentRequested(FEE, "subscription", "app/bot", 50 * USD, T0)
    (settled,) = story.tell(say(SettlePayment(FEE)))
    assert (settled.kind, amounts(settled)) == (
        "payment_settled", [("fees:subscription", 50 * USD), ("received", -50 * USD)]
    )  # fmt: skip
    (asked,) = story.tell(teller.clock(FEBRUARY - 1), teller.clock(FEBRUARY))
    assert (asked.kind, asked.time_us, asked.cause) == ("payment_requested", FEBRUARY, "renewal")
    assert [(r.amount_micros, r.due_us, r.sequence) for r in story.requests] == [
        (50 * USD, T0, 4), (50 * USD, FEBRUARY, 6)
    ]  # fmt: skip
    assert story.account().available_micros == 500 * USD


@pytest.mark.parametrize("failed", [False, True])
def test_an_unpaid_fee_ends_the_plan_when_the_grace_is_over(failed: bool) -> None:
    """P8: 7 days; then Standard, for units from then on. A payment that comes later is recorded."""
    story, teller = told(Subscribe("bot", "essential", "monthly"), *([FailPayment(FEE, "no cover")] * failed))
    assert story.tell(teller.clock(T0 + 7 * DAY - 1)) == []
    (ended,) = story.tell(teller.clock(T0 + 7 * DAY))
    assert (ended.kind, ended.time_us) == ("plan_changed", T0 + 7 * DAY)
    story.tell(teller.unit("u1", T0 + 7 * DAY - 1), teller.unit("u2", T0 + 7 * DAY))
    assert costs(story) == [("essential", 0, "included"), ("standard", 20 * CENT, "")]
    assert [r.kind for r in story.tell(say(SettlePayment(FEE), T0 + 8 * DAY))] == ["payment_settled"]
    assert story.tell(teller.clock(T0 + 100 * DAY))[0].kind == "lapse"
    assert len(story.requests) == 1
    assert ("payment_failed" in story.kinds) == failed


def test_a_cancelled_subscription_ends_with_its_term_and_asks_for_no_more() -> None:
    """P4, Decided."""
    story, teller = told(Subscribe("bot", "essential", "monthly"), SettlePayment(FEE), CancelPlan("bot"))
    story.tell(teller.unit("u1", FEBRUARY - 1), teller.unit("u2", FEBRUARY), teller.clock(FEBRUARY + 20 * DAY))
    assert [c[0] for c in costs(story)] == ["essential", "standard"]
    assert len(story.requests) == 1


def _contract(past: str, **more: int) -> Contract:
    return Contract(1_000 * USD, 2, "monthly", past, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("past", "price"), [("block", 0), ("overage", 15 * CENT)])
def test_a_contract_covers_all_apps_by_sessions(past: str, price: int) -> None:
    """P3, P12: two sessions a term for the workspace; past them nothing is sold, or 0.15 each."""
    story, teller = told(ApproveUpgrade(_contract(past, overage_micros=price)))
    units = [teller.unit(f"s{i}", T0 + HOUR, kind="session", app=("bot", "shop")[i % 2]) for i in range(3)]
    story.tell(*units, teller.unit("c", T0 + HOUR))
    assert costs(story) == [("enterprise", 0, "included")] * 2 + [("enterprise", price, "" if price else "beyond")]
    story.tell(say(EndContract("over"), T0 + DAY), teller.unit("d", T0 + DAY, app="shop"))
    assert costs(story)[-1] == ("standard", 20 * CENT, "")


def test_a_contract_ends_what_apps_subscribed_to_and_closes_the_request() -> None:
    """P9, P12."""
    story, teller = told(Subscribe("bot", "essential", "monthly"))
    story.tell(say(RequestUpgrade(), T0 + 1, "workspace_owner"))
    (again,) = story.tell(say(RequestUpgrade(), T0 + 2, "workspace_owner"))
    assert again.note == "workspace: Enterprise is requested already, by olga (P9)."
    story.tell(say(ApproveUpgrade(_contract("block")), T0 + DAY), teller.clock(FEBRUARY))
    assert [r.purpose for r in story.requests] == ["subscription", "contract"]
    (refused,) = story.tell(say(Subscribe("bot", "advanced", "monthly"), T0 + 2 * DAY))
    assert refused.note == "workspace: an enterprise contract covers all its apps (P3, P12)."
    assert story.account().upgrade_requested == ""


def test_a_declined_request_can_be_made_again() -> None:
    """P9."""
    story, _ = told()
    asks = [
        say(RequestUpgrade("bot"), role="app_owner"),
        say(DeclineUpgrade("not yet")),
        say(RequestUpgrade("bot"), role="app_owner"),
    ]
    assert [r.kind for r in story.tell(*asks)] == ["plan_changed"] * 3


def test_a_change_takes_effect_after_every_unit_already_taken() -> None:
    """U10: so no charge rests on a history that changed later."""
    story, teller = told()
    story.tell(teller.unit("u1", T0 + HOUR), say(Subscribe("bot", "essential", "monthly"), T0 + 60))
    story.tell(teller.unit("u2", T0 + HOUR), teller.unit("u3", T0 + HOUR + 1))
    assert [c[0] for c in costs(story)] == ["standard", "standard", "essential"]


@pytest.mark.parametrize("anchor", ["2026-01-31T12:00:00Z", "2024-02-29T00:00:00Z", "2025-12-01T23:59:59.999999Z"])
@pytest.mark.parametrize("months", [1, 2, 12, 13, 48])
def test_months_are_counted_on_the_calendar_and_shorter_ones_end_on_their_last_day(anchor: str, months: int) -> None:
    """P8: against a count day by day; a term holds its start and not its end."""
    since = micros_of_text(anchor)
    later = after_months(since, months)
    assert later == months_later(since, months)
    assert term_at(since, "monthly", later)[0] == later
    assert term_at(since, "monthly", later - 1)[1] == later
