"""Units to charges: P1, P2, P5, U10, U12, C5-C9, and workspaces that begin with their first unit."""

from __future__ import annotations

import pytest

from schemas.catalog import load_catalog
from schemas.errors import ConfigurationError
from streams.accounts.burn import burn
from streams.accounts.grants import FOR_EVER, Grant, order_of_use
from streams.accounts.policy import policy_of
from tests.accounts.story import (
    CENT,
    DAY,
    HOUR,
    T0,
    USD,
    Story,
    Teller,
    amounts,
    catalog,
    create,
    credit,
    funds,
    price,
    standard,
)

POOR = policy_of(catalog(free_credit={"usd": "0.30"}, top_up={"minimum_usd": "0.05", "maximum_usd": "20000"}))
BROKE = policy_of(catalog(free_credit={"usd": "0"}, top_up={"minimum_usd": "0.05", "maximum_usd": "20000"}))


def test_a_conversation_of_a_new_workspace_costs_20_cents_of_its_500_dollars() -> None:
    """P2, C1, L1: create, then charge; lines sum to zero, balances follow."""
    story, teller = Story(), Teller()
    created, charged = story.tell(create(), teller.unit("u1"))
    assert (created.kind, created.sequence, created.actor) == ("workspace_created", 1, "system:olga")
    assert amounts(created) == [("issued:free", -500 * USD), ("welcome", 500 * USD)]
    assert created.grants[0].expires_us == T0 + 90 * DAY
    assert (charged.kind, charged.sequence, charged.cause, charged.time_us) == ("charge", 2, "u1", T0)
    assert amounts(charged) == [("usage:conversation", 20 * CENT), ("welcome", -20 * CENT)]
    assert [line.balance_micros for line in charged.lines] == [20 * CENT, 49_980 * CENT]
    assert charged.balances.free_micros == 49_980 * CENT
    assert charged.previous_hash == created.hash
    assert (charged.charges[0].price_micros, charged.charges[0].plan) == (20 * CENT, "standard")


def test_a_unit_of_an_unknown_workspace_creates_it_and_is_charged_in_one_record() -> None:
    """Law 4, C1: created at the unit's start."""
    story, teller = Story(), Teller()
    (record,) = story.tell(teller.unit("u1", T0 + HOUR))
    assert record.kind == "charge"
    assert [grant.grant_id for grant in record.grants] == ["acme/welcome"]
    assert amounts(record) == [
        ("issued:free", -500 * USD),
        ("welcome", 500 * USD),
        ("usage:conversation", 20 * CENT),
        ("welcome", -20 * CENT),
    ]
    assert record.note.startswith("The workspace was unknown")
    assert story.account().created_us == T0 + HOUR
    (refused,) = story.tell(create())
    assert (refused.kind, refused.lines) == ("command_refused", ())
    assert refused.note == "workspace: acme exists already, created at 2026-01-01T01:00:00Z (W1)."


@pytest.mark.parametrize("words", [{"billable": False}, {"kind": "session"}, {"kind": "notification"}])
def test_a_unit_that_costs_nothing_creates_the_workspace_and_no_charge(words: dict[str, object]) -> None:
    """U12, U10, P5."""
    story, teller = Story(), Teller()
    (record,) = story.tell(teller.unit("u1", **words))  # type: ignore[arg-type]
    assert (record.kind, record.charges) == ("workspace_created", ())
    assert story.tell(teller.unit("u2", **words)) == []  # type: ignore[arg-type]
    assert story.left("welcome") == 500 * USD


@pytest.mark.parametrize(
    ("created_us", "expires_us"),
    [
        (1_679_184_000 * USD, 1_679_184_000 * USD + 90 * DAY),
        (1_679_184_000 * USD - 1, 1_679_184_000 * USD + 90 * DAY),
        (1_600_000_000 * USD, 1_679_184_000 * USD + 90 * DAY),
        (T0, T0 + 90 * DAY),
    ],
)
def test_free_credit_lasts_90_days_from_creation_but_not_from_before_2023_03_19(
    created_us: int, expires_us: int
) -> None:
    """C1, C2."""
    (record,) = Story().tell(create(time_us=created_us))
    assert (record.grants[0].granted_us, record.grants[0].expires_us) == (created_us, expires_us)


def test_the_price_is_the_one_in_force_at_the_units_start() -> None:
    """P1: 0.20, and 0.35 from 2026-01-03."""
    prices = standard(price("conversation", "0.20"), price("conversation", "0.35", "2026-01-03T00:00:00Z"))
    story, teller = Story(policy_of(catalog(plans=[prices]))), Teller()
    story.tell(create(), teller.unit("new", T0 + 2 * DAY), teller.unit("old", T0 + 2 * DAY - 1))
    assert [record.charges[0].price_micros for record in story.ledger[1:]] == [35 * CENT, 20 * CENT]


def test_a_catalog_without_a_price_for_the_time_stops_the_partition() -> None:
    """P1: a hole in the catalog is a mistake of ours, not bad input."""
    late = standard(price("conversation", "0.20", "2027-01-01T00:00:00Z"))
    with pytest.raises(ConfigurationError, match="no price for a conversation"):
        Story(policy_of(catalog(plans=[late]))).tell(Teller().unit("u1"))


def _grant(name: str, credit: str, left: int, at: int = 0, expires: int = FOR_EVER, app: str | None = None) -> Grant:
    return Grant(name, credit, left, at, expires, app, left)


def test_grants_are_used_free_first_then_own_then_shared_and_the_older_first() -> None:
    """C5: free by expiry, age, id; paid the app's own before shared, by age, id."""
    ordered = [
        _grant("z", "free", 1, at=9, expires=10),
        _grant("y", "free", 1, at=1, expires=11),
        _grant("a", "free", 1, at=2, expires=11),
        _grant("b", "free", 1, at=2, expires=11),
        _grant("x", "paid", 1, at=8, app="bot"),
        _grant("c", "paid", 1, at=9, app="bot"),
        _grant("d", "paid", 1, at=1),
        _grant("e", "paid", 1, at=1),
    ]
    ordered_names = [grant.account for grant in ordered]
    by_name = sorted(ordered, key=lambda grant: grant.account)
    assert [grant.account for grant in sorted(by_name, key=order_of_use)] == ordered_names


@pytest.mark.parametrize(
    ("amount", "start", "parts", "unfunded"),
    [
        (5, 0, [("a", 5)], 0),
        (10, 0, [("a", 10)], 0),
        (12, 0, [("a", 10), ("b", 2)], 0),
        (100, 0, [("a", 10), ("b", 20), ("c", 30)], 40),
        (12, 49, [("a", 10), ("b", 2)], 0),
        (12, 50, [("b", 12)], 0),
        (25, 99, [("b", 20), ("c", 5)], 0),
        (25, 100, [("c", 25)], 0),
    ],
)
def test_a_charge_is_split_and_never_uses_credit_that_had_expired_at_its_start(
    amount: int, start: int, parts: list[tuple[str, int]], unfunded: int
) -> None:
    """C3, C5, C6: a until 50, b until 100, c for ever; the parts and what is due sum exactly to the amount."""
    grants = [_grant("a", "free", 10, expires=50), _grant("b", "free", 20, expires=100), _grant("c", "paid", 30)]
    burned = burn(amount, start, grants)
    assert [(grant.account, part) for grant, part in burned.parts] == parts
    assert burned.unfunded_micros == unfunded


def test_a_charge_is_split_over_free_own_and_shared_credit_and_the_rest_is_due() -> None:
    """C5, C6: 0.30 free, 0.05 of the app's own, 0.05 shared; three conversations of 0.20."""
    story, teller = Story(POOR), Teller()
    story.tell(create(), funds(5 * CENT, "shared"), funds(5 * CENT, "own", T0 + 1, app="bot"))
    story.tell(funds(5 * CENT, "other", app="shop"))
    _, second, third = story.tell(teller.unit("u1"), teller.unit("u2"), teller.unit("u3"))
    assert amounts(second) == [
        ("usage:conversation", 20 * CENT),
        ("welcome", -10 * CENT),
        ("payment/pay-own", -5 * CENT),
        ("payment/pay-shared", -5 * CENT),
    ]
    assert amounts(third) == [("usage:conversation", 20 * CENT), ("due:bot", -20 * CENT)]
    assert third.balances.due_micros == 20 * CENT
    assert third.balances.paid_apps_micros == 5 * CENT


def test_new_shared_credit_settles_what_all_apps_owe_oldest_first() -> None:
    """C6: shop's conversation was first; 0.35 settle it and 0.15 of bot's."""
    story, teller = Story(BROKE), Teller()
    story.tell(create(), teller.unit("u1", T0 + 1), teller.unit("u2", T0, app="shop"))
    (added,) = story.tell(funds(35 * CENT, "f"))
    assert amounts(added) == [
        ("issued:paid", -35 * CENT),
        ("payment/pay-f", 35 * CENT),
        ("due:shop", 20 * CENT),
        ("payment/pay-f", -20 * CENT),
        ("due:bot", 15 * CENT),
        ("payment/pay-f", -15 * CENT),
    ]
    assert (added.balances.due_micros, added.balances.paid_shared_micros) == (5 * CENT, 0)


def test_credit_mapped_to_an_app_settles_only_what_that_app_owes() -> None:
    """C4, C6."""
    story, teller = Story(BROKE), Teller()
    story.tell(create(), teller.unit("u1"), teller.unit("u2", app="shop"), funds(100 * CENT, "f", app="shop"))
    assert story.balance("due:bot") == -20 * CENT
    assert story.balance("due:shop") == 0
    assert story.left("payment/pay-f") == 80 * CENT


def test_free_credit_of_an_operator_settles_too_but_not_what_starts_after_it_ends() -> None:
    """C3, C6."""
    story, teller = Story(BROKE), Teller()
    story.tell(create(), teller.unit("u1", T0 + 90 * DAY), teller.unit("u2", T0 + 90 * DAY - 1), credit(1 * USD, "g"))
    assert story.left("grant/g") == 80 * CENT
    assert story.balance("due:bot") == -20 * CENT


def test_a_reversal_returns_each_part_to_the_grant_it_came_from() -> None:
    """C8: 0.10 to the free credit, 0.05 to the app's own, and 0.05 are owed no more."""
    story, teller = Story(POOR), Teller()
    story.tell(create(), teller.unit("u1"), funds(5 * CENT, "own", app="bot"), teller.unit("u2"))
    (back,) = story.tell(teller.unit("u2", change="retracted"))
    assert (back.kind, back.charges[0].reversed, back.charges[0].unit_id) == ("reversal", True, "u2")
    assert amounts(back) == [
        ("usage:conversation", -20 * CENT),
        ("welcome", 10 * CENT),
        ("payment/pay-own", 5 * CENT),
        ("due:bot", 5 * CENT),
    ]


def test_a_reversal_of_a_settled_due_returns_to_the_grant_that_settled_it() -> None:
    """C6, C8."""
    story, teller = Story(BROKE), Teller()
    story.tell(create(), teller.unit("u1"), funds(5 * CENT, "f"), funds(100 * CENT, "g"))
    (back,) = story.tell(teller.unit("u1", change="retracted"))
    assert amounts(back) == [
        ("usage:conversation", -20 * CENT),
        ("payment/pay-f", 5 * CENT),
        ("payment/pay-g", 15 * CENT),
    ]


def test_credit_that_comes_back_pays_what_another_conversation_owes() -> None:
    """C6: due never stands beside credit that could pay it."""
    story, teller = Story(POOR), Teller()
    story.tell(create(), teller.unit("u1"), teller.unit("u2"))
    (back,) = story.tell(teller.unit("u1", change="retracted"))
    assert amounts(back) == [
        ("usage:conversation", -20 * CENT),
        ("welcome", 20 * CENT),
        ("due:bot", 10 * CENT),
        ("welcome", -10 * CENT),
    ]
    assert back.balances.due_micros == 0


@pytest.mark.parametrize(
    ("change", "billable", "kind"), [("retracted", True, "reversal"), ("revised", False, "reversal")]
)
def test_a_unit_retracted_or_no_longer_billable_is_given_back_once(change: str, billable: bool, kind: str) -> None:
    """U5, U12, C8."""
    story, teller = Story(), Teller()
    story.tell(create(), teller.unit("u1"))
    (back,) = story.tell(teller.unit("u1", T0, change, billable=billable))
    assert back.kind == kind
    assert story.tell(teller.unit("u1", T0, change, billable=billable)) == []
    assert story.left("welcome") == 500 * USD


def test_a_unit_the_user_joins_late_is_charged_when_it_becomes_billable() -> None:
    """U12: non-interactive first, then billed from its own start; closing changes nothing (U11)."""
    story, teller = Story(), Teller()
    assert [r.kind for r in story.tell(create(), teller.unit("u1", billable=False))] == ["workspace_created"]
    (charged,) = story.tell(teller.unit("u1", T0, "revised", delta=1))
    assert (charged.kind, charged.time_us) == ("charge", T0)
    assert story.tell(teller.unit("u1", T0, "revised"), teller.unit("u1", T0, "closed")) == []


def test_a_moved_start_at_the_same_price_is_remembered_and_leaves_no_record() -> None:
    """U5, P1."""
    story, teller = Story(), Teller()
    story.tell(create(), teller.unit("u1", T0 + HOUR))
    assert story.tell(teller.unit("u1", T0, "revised")) == []
    (back,) = story.tell(teller.unit("u1", T0, "retracted"))
    assert back.charges[0].start_us == T0


def test_a_start_moved_across_a_price_change_is_reversed_and_charged_in_one_record() -> None:
    """P1, law 4."""
    prices = standard(price("conversation", "0.20"), price("conversation", "0.35", "2026-01-03T00:00:00Z"))
    story, teller = Story(policy_of(catalog(plans=[prices]))), Teller()
    story.tell(create(), teller.unit("u1", T0 + 2 * DAY))
    (record,) = story.tell(teller.unit("u1", T0 + 2 * DAY - 1, "revised"))
    assert record.kind == "charge"
    assert [(c.reversed, c.price_micros, c.start_us) for c in record.charges] == [
        (True, 35 * CENT, T0 + 2 * DAY),
        (False, 20 * CENT, T0 + 2 * DAY - 1),
    ]
    assert amounts(record) == [
        ("usage:conversation", -35 * CENT),
        ("welcome", 35 * CENT),
        ("usage:conversation", 20 * CENT),
        ("welcome", -20 * CENT),
    ]


def test_a_start_moved_across_an_expiry_is_charged_anew_from_other_credit() -> None:
    """C3: the welcome credit ends 90 days after T0."""
    story, teller = Story(), Teller()
    end = T0 + 90 * DAY
    story.tell(create(), funds(100 * USD, "f"), teller.unit("u1", end - 1), teller.unit("u1", end, "revised"))
    assert (story.left("welcome"), story.left("payment/pay-f")) == (500 * USD, 9_980 * CENT)
    story.tell(teller.unit("u1", end - 1, "revised"))
    assert (story.left("welcome"), story.left("payment/pay-f")) == (49_980 * CENT, 100 * USD)


def test_what_can_no_longer_change_is_forgotten_with_the_grants_it_held() -> None:
    """Law 6: no open charge, no bucket, no spent grant; what is owed stays, by day and app."""
    story, teller = Story(POOR), Teller()
    story.tell(create(), *(teller.unit(f"u{i}", T0 + i) for i in range(3)), teller.unit("u4", T0 + HOUR))
    assert len(story.account().open) == 4
    story.tell(teller.clock(T0 + DAY + 300_000_000))
    account = story.account()
    assert list(account.open) == ["u4"]
    assert len(account.grants) == 0
    assert account.old_due == {(T0 // DAY, "bot"): 30 * CENT}
    story.tell(teller.clock(T0 + 2 * DAY))
    account = story.account()
    assert not account.open and not account.buckets and not account.owing
    (added,) = story.tell(funds(1 * USD, "f"))
    assert added.balances.paid_shared_micros == 50 * CENT
    assert story.account().old_due == {}


def test_a_final_unit_is_charged_if_the_user_speaks_late_and_set_aside_if_it_would_be_taken_back() -> None:
    """U12, law 7: nothing is remembered of it, so it is neither charged twice nor silently ignored."""
    story, teller = Story(), Teller()
    story.tell(create(), teller.clock(T0 + 3 * DAY))
    assert [r.kind for r in story.tell(teller.unit("u1", T0, "revised", delta=1))] == ["charge"]
    assert story.tell(teller.unit("u1", T0, "revised", delta=0)) == []
    assert story.tell(teller.unit("u1", T0, "retracted")) == []
    assert [(aside.reason, aside.value) for aside in story.asides] == [("final_unit", str(T0))]
    assert story.left("welcome") == 49_980 * CENT


def test_the_shipped_catalog_is_the_policy() -> None:
    """P1: first plan, thresholds sorted from far to near."""
    policy = policy_of(load_catalog())
    assert (policy.standard.id, policy.low_balance_micros, policy.expiring_days) == ("standard", 50 * USD, (7, 1))
