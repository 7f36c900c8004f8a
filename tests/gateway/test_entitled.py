"""What an app may do, from the view: E1, what is unknown or stale, and the plan's limits (P6)."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.entitlements import Entitlement, entitlement_key
from schemas.units import Origin
from streams.gateway.entitled import EntitlementPolicy, Entitlements
from streams.gateway.limits import BURST_SECONDS, CONVERSATION_SECONDS, ConversationLimits, RequestLimits


def entitlement(sequence: int = 3, offset: int = 1, app: str = "helper", **changes: Any) -> Entitlement:
    """An app that may answer."""
    base = Entitlement(
        "acme", app, sequence, Origin("account.inbox", 0, offset, 0), True, "has_credit", 0, "standard", 2_500,
        {}, {}, "using_free_credits", 0, 0,
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


def view_of(*records: Entitlement, **policy: Any) -> Entitlements:
    view = Entitlements(EntitlementPolicy(**policy))
    for offset, record in enumerate(records):
        view.apply(entitlement_key(record.workspace, record.app), msgspec.json.encode(record), 0, offset)
    return view


def test_e1_the_newest_entitlement_counts_and_names_its_ledger_record() -> None:
    view = view_of(entitlement(3), entitlement(4, 2, allowed=False, why="no_credit"))
    decision = view.decide("acme", "helper", None, 0.1, 0)
    assert (decision.allowed, decision.why, decision.sequence, decision.staleness_seconds) == (
        False,
        "no_credit",
        4,
        0.1,
    )


@pytest.mark.parametrize("stale", [entitlement(2, 9), entitlement(3, 0)])
def test_law_3_a_stale_copy_that_comes_later_changes_nothing(stale: Entitlement) -> None:
    stopped = entitlement(3, 1, allowed=False, why="no_credit")
    assert not view_of(stopped, stale).decide("acme", "helper", None, 0, 0).allowed


def test_a_tombstone_and_what_is_unreadable() -> None:
    view = view_of(entitlement())
    view.apply(b"acme/helper", b"{", 0, 1)
    view.apply(b"acme/helper", b'{"workspace":"\xff"}', 0, 1)
    assert view.unreadable == 2
    assert view.decide("acme", "helper", None, 0, 0).why == "has_credit"
    view.apply(b"acme/helper", None, 0, 2)
    assert view.decide("acme", "helper", None, 0, 0).why == "unknown_app"


@pytest.mark.parametrize(("unknown_app", "allowed"), [("open", True), ("closed", False)])
def test_an_unknown_app_is_decided_as_set(unknown_app: str, allowed: bool) -> None:
    decision = view_of(entitlement(), unknown_app=unknown_app).decide("acme", "other", "u", 0, 0)
    assert (decision.allowed, decision.why, decision.sequence) == (allowed, "unknown_app", None)
    assert view_of(entitlement(), unknown_app="closed").decide("acme2", "helper", "u", 0, 0).allowed is False


@pytest.mark.parametrize(
    ("stale_view", "staleness", "told", "allowed", "why"),
    [
        ("open", 30.0, True, True, "has_credit"),
        ("open", 30.1, True, True, "stale_view"),
        ("open", 30.1, False, True, "stale_view"),
        ("closed", 30.0, False, False, "no_credit"),
        ("closed", 30.1, True, False, "stale_view"),
        ("closed", math.inf, True, False, "stale_view"),
    ],
)
def test_a_stale_view_is_decided_as_set(stale_view: str, staleness: float, told: bool, allowed: bool, why: str) -> None:
    held = entitlement(allowed=told, why="has_credit" if told else "no_credit")
    decision = view_of(held, stale_view=stale_view).decide("acme", "helper", None, staleness, 0)
    assert (decision.allowed, decision.why, decision.staleness_seconds) == (allowed, why, staleness)


def test_p6_requests_a_minute_are_counted_per_app() -> None:
    view = view_of(entitlement(rate_limits={"requests_per_minute": 60}))
    asked = [view.decide("acme", "helper", f"u{n}", 0, 100.0) for n in range(12)]
    assert [decision.allowed for decision in asked] == [True] * BURST_SECONDS + [False] * 2
    assert (asked[-1].why, round(asked[-1].retry_after_seconds, 6)) == ("rate_limited", 1.0)
    assert view.decide("acme", "helper", "u", 0, 101.0).allowed
    assert not view.decide("acme", "helper", "u", 0, 101.0).allowed


def test_p6_or_per_user_and_shared_among_processes() -> None:
    limits = {"requests_per_minute": 60}
    view = view_of(entitlement(rate_limits=limits), limits_per="user", limit_share=0.5)
    assert [view.decide("acme", "helper", "a", 0, 0).allowed for _ in range(6)] == [True] * 5 + [False]
    assert view.decide("acme", "helper", "b", 0, 0).allowed
    free = view_of(entitlement(rate_limits=limits), limits_per="none")
    assert all(free.decide("acme", "helper", "a", 0, 0).allowed for _ in range(100))
    with pytest.raises(ValueError, match="limit_share"):
        EntitlementPolicy(limit_share=0)


def test_p6_a_new_limit_holds_at_once() -> None:
    view = view_of(entitlement(rate_limits={"requests_per_minute": 6}))
    assert [view.decide("acme", "helper", None, 0, 0).allowed for _ in range(2)] == [True, False]
    better = entitlement(4, 2, rate_limits={"requests_per_minute": 600})
    view.apply(b"acme/helper", msgspec.json.encode(better), 0, 1)
    assert [view.decide("acme", "helper", None, 0, 0.5).allowed for _ in range(6)] == [True] * 5 + [False]


def test_p6_conversations_at_a_time_end_after_the_gap_of_u1() -> None:
    view = view_of(entitlement(rate_limits={"concurrent_conversations": 2}))
    assert view.decide("acme", "helper", "a", 0, 0).allowed
    assert view.decide("acme", "helper", "b", 0, 10).allowed
    refused = view.decide("acme", "helper", "c", 0, 20)
    assert (refused.allowed, refused.why) == (False, "too_many_conversations")
    assert refused.retry_after_seconds == CONVERSATION_SECONDS - 20
    assert view.decide("acme", "helper", "a", 0, 30).allowed, "is in conversation already"
    assert view.decide("acme", "helper", None, 0, 30).allowed, "no user, no conversation"
    assert not view.decide("acme", "helper", "c", 0, 10 + CONVERSATION_SECONDS).allowed, "exactly the gap continues it"
    assert view.decide("acme", "helper", "c", 0, 11 + CONVERSATION_SECONDS).allowed


@given(
    per_minute=st.integers(1, 600),
    steps=st.lists(st.floats(0, 30), min_size=1, max_size=200),
)
def test_p6_no_span_sees_more_than_the_burst_and_the_rate(per_minute: int, steps: list[float]) -> None:
    limits, now, taken = RequestLimits(), 0.0, []
    for step in steps:
        now += step
        wait = limits.take(("a",), per_minute, now)
        if wait == 0:
            taken.append(now)
        else:
            assert RequestLimits.take(limits, ("a",), per_minute, now + wait + 1e-6) == 0
            taken.append(now := now + wait + 1e-6)
    rate = per_minute / 60
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            assert last - first + 1 <= max(1.0, rate * BURST_SECONDS) + (taken[last] - taken[first]) * rate + 1e-3


def test_law_6_what_is_asked_least_is_forgotten() -> None:
    requests, conversations = RequestLimits(kept=3), ConversationLimits(kept=3)
    for n in range(10):
        requests.take((str(n),), 60, 0)
        conversations.enter((str(n),), "u", 1, 0)
    assert len(requests._buckets) == len(conversations._apps) == 3
