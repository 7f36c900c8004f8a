"""Alerts for owners (rule A1): what the alert consumer mails and the page shows. A function of the ledger's inputs."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.units import Micros, Name, Origin, Text

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
]


class Alert(Struct, frozen=True, omit_defaults=True):
    """One alert: raised once per crossing (A2). `alert_id` derives from its cause, so a repeat has the same id."""

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
