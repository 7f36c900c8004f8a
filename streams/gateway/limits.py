"""The plan's rate limits (P6), applied in this process: requests a minute, and conversations at a time.

Pure: time is an argument, in seconds of any clock that does not go back. Own, and not a library's, because the limits
change with each entitlement, the answer is needed within microseconds, and a bucket is two numbers; the libraries at
hand keep a list of past calls for each key.
"""

from __future__ import annotations

from collections import OrderedDict

from schemas.instants import MICROS_PER_MINUTE, MICROS_PER_SECOND

BURST_SECONDS = 10
"""A minute's limit may be used at once for this part of a minute: 60 a minute are 10 at once and 1 a second."""
CONVERSATION_SECONDS = 15 * MICROS_PER_MINUTE // MICROS_PER_SECOND
"""A user without a request for so long is in no conversation any more (U1)."""
KEPT = 100_000
"""Buckets and apps remembered; what was asked for least recently is forgotten, and begins full again."""


class RequestLimits:
    """A token bucket for each key (an app, or a user of it)."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._buckets: OrderedDict[tuple[str, ...], tuple[float, float]] = OrderedDict()

    def take(self, key: tuple[str, ...], per_minute: float, now: float) -> float:
        """0.0 if the request may go on, and it is counted; else the seconds until one may, and nothing is counted."""
        rate = per_minute / 60
        most = max(1.0, rate * BURST_SECONDS)
        left, since = self._buckets.get(key, (most, now))
        left = min(most, left + max(0.0, now - since) * rate)
        wait = 0.0 if left >= 1 - 1e-9 else (1 - left) / rate
        if wait == 0:
            left -= 1
        self._buckets[key] = (left, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._kept:
            self._buckets.popitem(last=False)
        return wait


class ConversationLimits:
    """Who is in conversation with each app, as far as this process was asked."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._apps: OrderedDict[tuple[str, ...], OrderedDict[str, float]] = OrderedDict()

    def enter(self, app: tuple[str, ...], user: str, limit: float, now: float) -> float:
        """0.0 if the user is in conversation or there is room for one more; else the seconds until there may be."""
        users = self._apps.get(app)
        if users is None:
            users = self._apps[app] = OrderedDict()
            if len(self._apps) > self._kept:
                self._apps.popitem(last=False)
        self._apps.move_to_end(app)
        while users and now - next(iter(users.values())) > CONVERSATION_SECONDS:
            users.popitem(last=False)
        if user not in users and len(users) >= max(1.0, limit):
            return max(0.001, next(iter(users.values())) + CONVERSATION_SECONDS - now)
        users[user] = now
        users.move_to_end(user)
        return 0.0
