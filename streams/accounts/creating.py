"""A new workspace: Standard, with the catalog's free credit (P2, C1, C2)."""

from __future__ import annotations

from schemas.ledger import GrantOpened
from streams.accounts.draft import Draft
from streams.accounts.policy import Policy
from streams.accounts.postings import issue

CREATED_BY_USE = "The workspace was unknown and is created at the start of its first unit."


def create(draft: Draft, created_us: int, policy: Policy) -> None:
    """The free credit of a workspace created then."""
    free = policy.free_credit
    if free.amount_micros == 0:
        return
    grant_id = f"{draft.state.workspace}/welcome"
    expires_us = free.expires_us(created_us)
    issue(draft, GrantOpened(grant_id, "free", free.amount_micros, created_us, expires_us))
