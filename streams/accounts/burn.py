"""Burn-down: which grants pay how much of an amount (C5). A pure function over grants already in the order of use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from streams.accounts.grants import Grant


class Burned(NamedTuple):
    """The parts, in order; with `unfunded_micros` they sum exactly to the amount (C5, C6)."""

    parts: list[tuple[Grant, int]]
    unfunded_micros: int


def burn(
    amount_micros: int, start_us: int, grants: Iterable[Grant], remaining: Callable[[Grant], int] | None = None
) -> Burned:
    """Split an amount over grants. A grant that a unit starting at `start_us` may not use is passed over (C3).

    `remaining` says what is left of a grant where that differs from the grant itself (in the midst of a record).
    """
    parts: list[tuple[Grant, int]] = []
    for grant in grants:
        if amount_micros == 0:
            break
        left = grant.remaining_micros if remaining is None else remaining(grant)
        if left <= 0 or start_us >= grant.expires_us:
            continue
        part = left if left < amount_micros else amount_micros
        parts.append((grant, part))
        amount_micros -= part
    return Burned(parts, amount_micros)
