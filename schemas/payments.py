"""Payments asked for (C10, P8): what `payments.requests` carries to the payment system. Paying is that system's job."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from schemas.changes import PaymentMethod, PaymentPurpose
from schemas.units import Micros, Name, Origin, Text


class PaymentRequest(Struct, frozen=True, omit_defaults=True):
    """One payment asked for. It is answered by a `settle_payment` or `fail_payment` command with its `payment_id`;
    asking twice is the same request. `sequence` is the ledger record it rests on."""

    payment_id: Text
    workspace: Name
    purpose: PaymentPurpose
    subject: Text
    amount_micros: Annotated[int, Meta(ge=1)]
    due_us: Micros
    requested_us: Micros
    sequence: Annotated[int, Meta(ge=1)]
    origin: Origin
    method: PaymentMethod | None = None
