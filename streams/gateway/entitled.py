"""What an app may do now (E1, E2), judged from a view of the topic `entitlements`, with the plan's limits (P6).

Pure: fed with records by a `Follower`, asked with the time. It never guesses silently: what is unknown or too old is
decided as the policy says, and the answer says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from schemas.entitlements import Entitlement, Why
from streams.gateway.limits import ConversationLimits, RequestLimits

Fail = Literal["open", "closed"]
Refusal = Literal["unknown_app", "stale_view", "rate_limited", "too_many_conversations"]
_decode = msgspec.json.Decoder(Entitlement).decode


@dataclass(frozen=True, slots=True)
class EntitlementPolicy:
    """What to do where the view does not tell, and how limits apply.

    `limits_per`: requests a minute are counted for each app, or for each user of it. `limit_share`: this process's part
    of the limits where several serve the same app, e.g. 0.25 for each of four.
    """

    unknown_app: Fail = "closed"
    stale_view: Fail = "open"
    stale_after_seconds: float = 30.0
    limits_per: Literal["app", "user", "none"] = "app"
    limit_share: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.limit_share <= 1:
            raise ValueError(f"limit_share is {self.limit_share}, and must be above 0 and at most 1")


class Decision(msgspec.Struct, frozen=True, gc=False):
    """Whether the app may answer, why, and what that rests on.

    `staleness_seconds`: since when the view may have missed something. `sequence`: the workspace's ledger record that
    the entitlement rests on, None for an unknown app. `retry_after_seconds`: for a limit, when to ask again.
    """

    allowed: bool
    why: Why | Refusal
    staleness_seconds: float
    sequence: int | None = None
    retry_after_seconds: float = 0.0
    entitlement: Entitlement | None = None


class Entitlements:
    """The view and the limits of one process."""

    def __init__(self, policy: EntitlementPolicy = EntitlementPolicy()) -> None:
        self.policy = policy
        self.by_app: dict[tuple[str, str], Entitlement] = {}
        self.unreadable = 0
        self._requests = RequestLimits()
        self._conversations = ConversationLimits()

    def apply(self, key: bytes, value: bytes | None, partition: int, offset: int) -> None:
        """Take in one record. What rests on an older input than what is held changes nothing (law 3)."""
        if value is None:
            workspace, _, app = key.decode(errors="replace").partition("/")
            self.by_app.pop((workspace, app), None)
            return
        try:
            found = _decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.unreadable += 1
            return
        name = (found.workspace, found.app)
        held = self.by_app.get(name)
        if held is None or _place(found) >= _place(held):
            self.by_app[name] = found

    def decide(self, workspace: str, app: str, user: str | None, staleness_seconds: float, now: float) -> Decision:
        """Whether the app may take one more request; a request that is allowed is counted against the limits."""
        held = self.by_app.get((workspace, app))
        policy = self.policy
        if held is None:
            return Decision(policy.unknown_app == "open", "unknown_app", staleness_seconds)
        sequence = held.sequence
        why: Why | Refusal = held.why
        if staleness_seconds > policy.stale_after_seconds:
            if policy.stale_view == "closed":
                return Decision(False, "stale_view", staleness_seconds, sequence, entitlement=held)
            why = "stale_view"
        elif not held.allowed:
            return Decision(False, why, staleness_seconds, sequence, entitlement=held)
        refusal, wait = self._limited(held, user, now)
        if refusal is not None:
            return Decision(False, refusal, staleness_seconds, sequence, wait, held)
        return Decision(True, why, staleness_seconds, sequence, entitlement=held)

    def _limited(self, held: Entitlement, user: str | None, now: float) -> tuple[Refusal | None, float]:
        policy = self.policy
        if policy.limits_per == "none":
            return None, 0.0
        app = (held.workspace, held.app)
        at_a_time = held.rate_limits.get("concurrent_conversations")
        if at_a_time is not None and user is not None:
            wait = self._conversations.enter(app, user, at_a_time * policy.limit_share, now)
            if wait > 0:
                return "too_many_conversations", wait
        per_minute = held.rate_limits.get("requests_per_minute")
        if per_minute is not None:
            key = (*app, user) if policy.limits_per == "user" and user is not None else app
            wait = self._requests.take(key, per_minute * policy.limit_share, now)
            if wait > 0:
                return "rate_limited", wait
        return None, 0.0


def _place(held: Entitlement) -> tuple[int, int, int]:
    return held.sequence, held.origin.offset, held.origin.index
