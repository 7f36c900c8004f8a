"""Paid and inactive apps, figures that move with time, limits of the plan in force: E4, C11, P6, P12."""

from __future__ import annotations

import pytest

from schemas.changes import Contract
from schemas.commands import (
    AcceptInvitation,
    Actor,
    ApproveUpgrade,
    Command,
    CommandBody,
    CreateApp,
    InviteCollaborator,
    InviteUser,
    MoveCredit,
    Subscribe,
)
from streams.accounts.activity import is_inactive, is_paid
from streams.accounts.clocking import next_refresh_us
from streams.accounts.policy import policy_of
from tests.accounts.story import CENT, DAY, HOUR, POLICY, T0, USD, Story, Teller, catalog, create, funds
from tests.accounts.test_plans import say, told

NO_FREE = policy_of(catalog(free_credit={"usd": "0"}))


def used(story: Story, app: str = "bot") -> list[tuple[bool, bool]]:
    """(inactive, paid) of every entitlement of an app so far."""
    return [(e.inactive, e.paid) for e in story.entitlements if e.app == app]


def test_an_app_is_inactive_without_a_billed_unit_in_the_last_30_days_and_active_again_with_one() -> None:
    """E4: by UTC days; told by the clock alone, and by the unit that ends it."""
    story, teller = told()
    assert used(story) == [(True, False)] * 2, "drafted, published"
    story.tell(teller.unit("u", T0 + HOUR))
    assert used(story)[-1] == (False, False)
    inactive_us = next_refresh_us("acme", T0 + 31 * DAY)
    story.tell(teller.clock(T0 + 30 * DAY + HOUR), teller.clock(inactive_us - 1))
    assert used(story)[-1] == (False, False)
    story.tell(teller.clock(inactive_us))
    assert used(story)[-1] == (True, False)
    assert story.account().next_alarm_us == T0 + 83 * DAY, "nothing more moves with time but the credit's expiry"
    story.tell(teller.unit("v", T0 + 33 * DAY))
    assert used(story)[-1] == (False, False)


def test_only_billed_units_count_and_a_reversal_takes_them_back() -> None:
    """E4, C8: not what was unpublished; included ones do."""
    story, teller = Story(), Teller()
    story.tell(create(), say(CreateApp("bot")), teller.unit("draft", T0))
    assert is_inactive(story.account(), "bot", T0)
    story, teller = told(Subscribe("bot", "essential", "monthly"))
    story.tell(teller.unit("u", T0), teller.unit("v", T0 + DAY))
    story.tell(teller.unit("v", T0 + DAY, "retracted"))
    assert [is_inactive(story.account(), "bot", T0 + days * DAY) for days in (30, 31)] == [False, True]
    story.tell(teller.unit("u", T0, "retracted"))
    assert used(story)[-1] == (True, False)


def test_what_can_change_no_more_keeps_an_app_active() -> None:
    """E4, law 6: a reversal finds the newest day among open charges, or the one remembered."""
    story, teller = told()
    story.tell(teller.unit("u", T0 + DAY), teller.clock(T0 + 5 * DAY), teller.unit("v", T0 + 5 * DAY))
    assert list(story.account().open) == ["v"]
    story.tell(teller.unit("v", T0 + 5 * DAY, "retracted"))
    assert [is_inactive(story.account(), "bot", T0 + days * DAY) for days in (31, 32)] == [False, True]


def test_an_app_is_paid_when_paid_credit_is_used_or_mapped() -> None:
    """E4: mapped; moved away again; shared credit used; given back."""
    story, teller = Story(NO_FREE), Teller()
    story.tell(create(), funds(100 * USD, "f"), teller.unit("u", app="shop"), funds(100 * USD, "g", app="bot"))
    account = story.account()
    assert (is_paid(account, "shop"), is_paid(account, "bot"), used(story, "shop")[-1]) == (True, True, (False, True))
    story.tell(say(MoveCredit(100 * USD, from_app="bot")))
    assert not is_paid(story.account(), "bot")
    story.tell(teller.unit("u", change="retracted", app="shop"))
    assert not is_paid(story.account(), "shop")
    assert used(story, "shop")[-1] == (True, False)


def test_free_credit_alone_makes_no_app_paid_and_settling_what_is_owed_does() -> None:
    """E4, C6."""
    story, teller = Story(), Teller()
    story.tell(create(), funds(100 * USD, "f"), teller.unit("u"))
    assert not is_paid(story.account(), "bot"), "free before paid"
    story, teller = Story(NO_FREE), Teller()
    story.tell(create(), teller.unit("u"))
    assert used(story) == [(False, False)]
    story.tell(funds(100 * USD, "f"))
    assert used(story)[-1] == (False, True)


def test_figures_are_told_again_once_a_day_while_they_change() -> None:
    """C11: 7 conversations on the first day: one a day for seven days, and 0.20 a day; then nothing more."""
    story, teller = told()
    story.tell(*(teller.unit(f"u{i}", T0 + i) for i in range(7)))
    before = len(story.entitlements)
    for hours in range(0, 24 * 12, 6):
        story.tell(teller.clock(T0 + hours * HOUR + HOUR))
    told_since = story.entitlements[before:]
    assert [(e.average_daily_units, e.burn_micros, e.days_left) for e in told_since] == [
        (1, 20 * CENT, 2493), (0, 0, None)
    ]  # fmt: skip
    assert [e.allowed_requests for e in told_since] == [2493] * 2
    assert [(e.since_us - T0, e.sequence) for e in told_since] == [(0, 10)] * 2, "no record, and nothing else is new"


def test_figures_that_a_days_charges_change_are_told_once_and_not_with_each_clock() -> None:
    """C11: a bounded rate."""
    story, teller = told()
    story.tell(teller.unit("u", T0), teller.clock(T0 + DAY + HOUR))
    before = len(story.entitlements)
    for at in range(20):
        story.tell(teller.unit(f"v{at}", T0 + DAY + at), teller.clock(T0 + DAY + HOUR + at))
    assert len(story.entitlements) == before


def test_each_workspace_has_a_second_of_its_own_within_the_first_hour() -> None:
    """C11: so that a million of them do not come at once."""
    seconds = {next_refresh_us(f"w{n}", T0 + 2 * HOUR) - T0 - DAY for n in range(1000)}
    assert all(0 <= second < HOUR for second in seconds)
    assert len(seconds) > 800
    assert next_refresh_us("w", T0 + HOUR) == next_refresh_us("w", T0) + DAY


def _does(story: Story, name: str, role: str, body: CommandBody) -> str:
    given = Command(f"d{story.told}", "acme", T0, Actor(role, name), body)  # type: ignore[arg-type]
    return story.tell(given)[0].note


@pytest.mark.parametrize(
    ("plan", "allowed"),
    [
        ((), 10),
        ((Subscribe("bot", "essential", "monthly"),), 25),
        ((Subscribe("bot", "advanced", "monthly"),), 50),
        ((ApproveUpgrade(Contract(0, 9, "monthly", "block", usage_limits={"collaborators_per_app": 12})),), 12),
    ],
)
def test_collaborators_are_limited_by_the_plan_in_force(plan: tuple[CommandBody, ...], allowed: int) -> None:
    """P6."""
    story = Story(POLICY)
    story.tell(create(), say(CreateApp("bot")), *(say(body) for body in plan))
    for number in range(allowed + 1):
        assert _does(story, "olga", "workspace_owner", InviteUser(f"p{number}")) == ""
        assert _does(story, f"p{number}", "collaborator", AcceptInvitation()) == ""
        why = _does(story, "olga", "workspace_owner", InviteCollaborator("bot", f"p{number}", "developer"))
    assert why == f"app: bot has {allowed} collaborators, and {allowed} are allowed (P6)."


@pytest.mark.parametrize(
    ("plan", "allowed"),
    [
        ((), 25),
        ((Subscribe("a0", "advanced", "monthly"),), 50),
        ((ApproveUpgrade(Contract(0, 9, "monthly", "block", usage_limits={"apps": 30})),), 30),
    ],
)
def test_apps_are_limited_by_the_best_plan_of_the_workspace(plan: tuple[CommandBody, ...], allowed: int) -> None:
    """P6, P12: the contract's, else the most that any of its plans allows."""
    story = Story(POLICY)
    story.tell(create(), say(CreateApp("a0")), *(say(body) for body in plan))
    records = story.tell(*(say(CreateApp(f"a{number}")) for number in range(1, allowed + 1)))
    refused = [record.note for record in records if record.note]
    assert refused == [f"app: the workspace has {allowed} apps, and its plan allows {allowed} (P6)."]


def test_when_a_contract_has_ended_the_apps_own_plans_say_again_how_many_there_may_be() -> None:
    """P6, P12: 50 on Advanced; the contract of the day before counts no more."""
    story = Story(POLICY)
    story.tell(
        create(), say(CreateApp("a0")), say(ApproveUpgrade(Contract(0, 9, "monthly", "block", ends_us=T0 + DAY)))
    )
    story.tell(say(Subscribe("a0", "advanced", "monthly"), T0 + DAY))
    records = story.tell(*(say(CreateApp(f"a{number}"), T0 + 2 * DAY) for number in range(1, 51)))
    refused = [record.note for record in records if record.note]
    assert refused == ["app: the workspace has 50 apps, and its plan allows 50 (P6)."]


def test_an_entitlement_carries_the_plans_rate_limits() -> None:
    """P6, E1: and changes with the plan."""
    story, _ = told(Subscribe("bot", "advanced", "monthly"))
    assert [e.rate_limits["requests_per_minute"] for e in story.entitlements] == [60, 60, 300]
    assert story.entitlements[-1].usage_limits == {"apps": 50, "collaborators_per_app": 50}
