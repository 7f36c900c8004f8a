"""What an attempt needs: a carrier, which hands one delivery over and says how that ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from streams.mailer.deliveries import Delivery, Outcome

BeforeHandOver = Callable[[], Awaitable[None]]


class Carrier(Protocol):
    """SMTP or HTTP. Raises for a programming error only: what the other side does is an outcome."""

    async def carry(self, delivery: Delivery, before_hand_over: BeforeHandOver) -> Outcome:
        """Hand it over. `before_hand_over` is awaited when all that can fail plainly has been done, and before the
        receiver is given anything it may act upon."""
