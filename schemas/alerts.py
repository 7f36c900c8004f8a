"""Alerts for owners (rule A1): what the alert consumer mails and the page shows. A function of the ledger's inputs.

An alert names whom it is for (A3), so that it can be mailed from the record alone.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.units import Email, Micros, Name, Origin, Text

AlertKind = Literal[
    "low_balance",
    "zero_balance",
    "free_credit_expiring",
    "free_credit_lapsed",
    "payment_failed",
    "app_stopped",
    "app_responding",
    "contract_usage",
    "renewal_due",
    "licence_changed",
]


class Recipient(Struct, frozen=True):
    """Somebody an alert is for (A3): an owner of the workspace, or of the app it is about, whose address is known."""

    role: Literal["workspace_owner", "app_owner"]
    user: Text
    email: Email


class Alert(Struct, frozen=True, omit_defaults=True):
    """One alert: raised once per crossing (A2). `alert_id` derives from its cause, so a repeat has the same id.

    `app` is the app it is about, if it is one app's. `recipients` (A3) are the workspace's owners and, of an app's own
    alert, the app's owner, as they were after the record that raised it; each address once, empty when none is known.
    `percent` is that of contract usage, `due_us` when credit expires or a fee is due, `amount_micros` that fee, the
    payment that failed or the credit that expires or has lapsed.
    """

    alert_id: Text
    workspace: Name
    kind: AlertKind
    time_us: Micros
    origin: Origin
    available_micros: int
    message: Annotated[str, Meta(max_length=512)]
    threshold_micros: int | None = None
    grant_id: Text | None = None
    app: Name | None = None
    percent: Annotated[int, Meta(ge=1, le=100)] | None = None
    due_us: Micros | None = None
    amount_micros: int | None = None
    recipients: tuple[Recipient, ...] = ()
