"""When a failed delivery is tried again, and when it is given up: a function of the delivery."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from schemas.instants import MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_SECOND
from schemas.settings import Settings

_JITTER_PERCENT = 20


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`first_us` after the first failure, doubled each time up to `longest_us`, a fifth more or less for each delivery;
    given up when `give_up_us` have passed since the alert was appended (or the retry was asked for).
    A delivery given up can be asked for again for `keep_dead_us`.
    """

    first_us: int = 30 * MICROS_PER_SECOND
    longest_us: int = MICROS_PER_HOUR
    give_up_us: int = 5 * MICROS_PER_DAY
    keep_dead_us: int = 30 * MICROS_PER_DAY

    @classmethod
    def of(cls, settings: Settings) -> RetryPolicy:
        """The policy under the settings."""
        return cls(
            first_us=round(settings.mail_retry_seconds * 1000) * 1000,
            give_up_us=settings.mail_give_up_hours * MICROS_PER_HOUR,
        )

    def delay_us(self, delivery_id: str, attempts: int) -> int:
        """How long to wait after the attempt of this number (from 1) has failed."""
        doubled = self.first_us << min(attempts - 1, 40)
        delay = min(doubled, max(self.longest_us, self.first_us))
        digest = hashlib.sha256(f"{delivery_id}/{attempts}".encode()).digest()
        percent = int.from_bytes(digest[:4], "big") % (2 * _JITTER_PERCENT + 1) - _JITTER_PERCENT
        return delay + delay * percent // 100
