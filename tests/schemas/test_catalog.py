"""The plan catalog: P1-P8, P10, P11 as data, and what is said of a file that is wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from schemas.catalog import DEFAULT_CATALOG, Catalog, load_catalog
from schemas.errors import ConfigurationError
from schemas.instants import micros_of_text

USD = 1_000_000
PLANS = load_catalog()


def _content() -> dict[str, Any]:
    return tomllib.loads(DEFAULT_CATALOG.read_text(encoding="utf-8"))


def test_the_shipped_plans_are_those_of_the_rules() -> None:
    """P2-P4, P11: Standard first; kinds and billing units."""
    assert [(plan.id, plan.kind, plan.billing_unit) for plan in PLANS.plans] == [
        ("standard", "payg", "conversation"),
        ("trial", "trial", "session"),
        ("essential", "subscription", "conversation"),
        ("advanced", "subscription", "conversation"),
        ("enterprise", "contract", "session"),
    ]
    trial = PLANS.plan("trial").trial
    assert trial is not None
    assert (trial.days, trial.included) == (14, 2000)
    assert PLANS.plan("standard").price_micros("conversation", 10**15) == 200_000


@pytest.mark.parametrize("plan", PLANS.plans, ids=lambda plan: plan.id)
def test_notifications_and_alerts_cost_nothing_under_every_plan(plan: Any) -> None:
    """P5."""
    assert (plan.price_micros("notification", 10**15), plan.price_micros("alert", 10**15)) == (0, 0)
    assert plan.bills("notification") and plan.bills(plan.billing_unit)


def test_support_plans_and_products_are_those_of_the_rules() -> None:
    """P7: Basic free, Standard from USD 1,000 a month, Enterprise by contract. P10: buttons."""
    assert [(s.id, s.monthly_micros(10**15), s.by_contract) for s in PLANS.support_plans] == [
        ("basic", None, False),
        ("standard", 1_000 * USD, False),
        ("enterprise", None, True),
    ]
    assert {p.id: p.unlicensed for p in PLANS.products} == {
        "automation_ai": "try_now",
        "search_ai": "contact_us",
        "contact_center_ai": "try_now",
        "agent_ai": "contact_us",
    }


def test_an_offer_is_the_one_in_force_when_its_term_begins() -> None:
    """P1, P4."""
    content = _content()
    dearer = {"period": "monthly", "from": "2027-01-01T00:00:00Z", "fee_usd": "60", "included": 200}
    content["plans"][2]["offers"].append(dearer)
    plan = Catalog.model_validate(content).plan("essential")
    change = micros_of_text("2027-01-01T00:00:00Z")
    fees = [offer and offer.fee_micros for offer in (plan.offer("monthly", change - 1), plan.offer("monthly", change))]
    assert fees == [50 * USD, 60 * USD]
    assert plan.offer("monthly", 0) is None


def _set(*path: Any, to: Any) -> Any:
    def change(content: dict[str, Any]) -> None:
        table: Any = content
        for name in path[:-1]:
            table = table[name]
        table[path[-1]] = to

    return change


WRONG = [
    (_set("plans", 0, "prices", 0, "usd", to=0.2), "never a binary float"),
    (_set("plans", 0, "prices", 0, "usd", to="0.2000001"), "at most six decimals"),
    (_set("plans", 0, "prices", 0, "usd", to="a lot"), "no amount of US dollars"),
    (_set("plans", 0, "prices", 0, "from", to="2026-01-01T00:00:00"), "time zone"),
    (_set("plans", 0, "prices", to=[]), "plan standard bills conversation but has no price for it"),
    (_set("plans", 1, "id", to="standard"), "plan standard is there twice"),
    (_set("plans", 0, "kind", to="subscription"), "plan standard: offers belong to a subscription"),
    (_set("plans", 1, "trial", to=None), "plan trial: days and included units belong to a trial"),
    (_set("plans", 2, "offers", to=[]), "plan essential: offers belong to a subscription"),
    (_set("plans", 0, "support_plan", to="gold"), "plan standard names support plan gold"),
    (_set("plans", 3, "rate_limits", to={"requests_per_hour": 1}), "do not state the same limits"),
    (
        _set("plans", 4, "rate_limits", to={"requests_per_minute": 1, "concurrent_conversations": 2000}),
        "requests_per_minute is below that of standard",
    ),
    (_set("plans", 0, "rate_limits", "requests_per_minute", to=0), "greater than or equal to 1"),
    (_set("products", 0, "unlicensed", to="buy"), "'try_now' or 'contact_us'"),
    (_set("colour", to="blue"), "colour"),
    (_set("free_credit", "usd", to="1000000000.000001"), "less than or equal to 1000000000000000"),
    (_set("free_credit", "days", to=10**9), "less than or equal to 36500"),
    (_set("plans", 1, "trial", "days", to=10**9), "less than or equal to 36500"),
    (_set("alerts", "expiring_days", to=[7, -1]), "greater than or equal to 1"),
    (_set("alerts", "contract_percents", to=[0]), "greater than or equal to 1"),
    (_set("top_up", "minimum_usd", to="20000.01"), "minimum_usd is more than 0 and no more than maximum_usd"),
    (
        _set("plans", 2, "prices", 0, "from", to="2000-01-01T00:00:01Z"),
        "plan essential is offered before it has a price for conversation",
    ),
]


@pytest.mark.parametrize(("change", "why"), WRONG, ids=[why for _, why in WRONG])
def test_a_catalog_that_is_wrong_is_refused_with_what_is_wrong(change: Any, why: str) -> None:
    """P1."""
    content = _content()
    change(content)
    with pytest.raises(ValueError, match="(?s)" + why):
        Catalog.model_validate(content)


def test_two_versions_of_a_price_from_one_instant_are_refused() -> None:
    """P1: which one holds could not be said."""
    content = _content()
    content["plans"][0]["prices"].append(content["plans"][0]["prices"][0])
    with pytest.raises(ValueError, match="two versions of the price of a conversation"):
        Catalog.model_validate(content)


def test_a_default_plan_that_is_not_paid_by_use_is_refused() -> None:
    """P2: every new workspace begins on it."""
    content = _content()
    content["plans"].insert(0, content["plans"].pop(1))
    with pytest.raises(ValueError, match="plan trial stands first"):
        Catalog.model_validate(content)


def test_an_unreadable_file_names_itself(tmp_path: Path) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text("plans = [")
    with pytest.raises(ConfigurationError, match=r"catalog .*catalog\.toml"):
        load_catalog(path)
    with pytest.raises(ConfigurationError, match="no plan 'gold'; there are standard, trial"):
        PLANS.plan("gold")
