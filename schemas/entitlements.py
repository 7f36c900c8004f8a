"""Entitlements (E1): what each app may do now, for gateways to enforce. Topic `entitlements`, compacted by app.

Published when anything but the number of allowed requests changes, and when that number has halved or doubled; each
names the ledger record it rests on, so a reader can tell how far it sees.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.units import Micros, Name, Origin, Text

Why = Literal[
    "has_credit",
    "has_included_units",
    "overage_agreed",
    "free_of_charge",
    "no_credit",
    "trial_used_up",
    "contract_used_up",
    "draft",
    "unpublished",
]
BalanceStatus = Literal["using_free_credits", "sufficient_funds", "low_balance", "inactive"]


class Entitlement(Struct, frozen=True, omit_defaults=True):
    """What an app may do from `since_us` on, as of ledger record `sequence` of its workspace.

    `allowed_requests`: units that the included ones and present credits still pay for at the present price (E3).
    `average_daily_units`, `burn_micros` (a day) and `days_left` are those of the workspace over the last seven days, as
    of this record (C11).
    """

    workspace: Name
    app: Name
    sequence: Annotated[int, Meta(ge=0)]
    origin: Origin
    allowed: bool
    why: Why
    since_us: int
    plan: Text
    allowed_requests: Annotated[int, Meta(ge=0)]
    rate_limits: dict[str, int]
    usage_limits: dict[str, int]
    balance: BalanceStatus
    average_daily_units: Annotated[int, Meta(ge=0)]
    burn_micros: Annotated[int, Meta(ge=0)]
    days_left: int | None = None
    term_ends_us: Micros | None = None


def entitlement_key(workspace: str, app: str) -> bytes:
    """The record key: `workspace/app`."""
    return f"{workspace}/{app}".encode()
