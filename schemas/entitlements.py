"""Entitlements (E1): what each app may do now, for gateways to enforce. Topic `entitlements`, compacted by app.

Published when anything but the figures changes, when the number of allowed requests has halved or doubled, and once a
day while figures change; each names the ledger record it rests on, so a reader can tell how far it sees.
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
    of this record (C11). `support_plan` is that of the app (P7; "" while it has none); `inactive`: no billed unit in
    the last 30 days; `paid`: paid credit has been used for it, or is mapped to it (E4).
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
    support_plan: str = ""
    inactive: bool = False
    paid: bool = False


def entitlement_key(workspace: str, app: str) -> bytes:
    """The record key: `workspace/app`."""
    return f"{workspace}/{app}".encode()
