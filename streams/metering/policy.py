"""Metering settings, frozen: the same for every partition and every replay."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.instants import MICROS_PER_HOUR, MICROS_PER_MINUTE
from schemas.topics import DEFAULT_PARTITIONS


@dataclass(frozen=True, slots=True)
class MeterPolicy:
    """Spans in microseconds. Exactly `gap_us` continues a conversation (U1), `session_us` ends a session (U2)."""

    gap_us: int = 15 * MICROS_PER_MINUTE
    session_us: int = 15 * MICROS_PER_MINUTE
    lateness_us: int = 24 * MICROS_PER_HOUR
    future_us: int = 5 * MICROS_PER_MINUTE
    interaction_partitions: int = DEFAULT_PARTITIONS
    account_partitions: int = DEFAULT_PARTITIONS
