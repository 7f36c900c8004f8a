"""Alerts of every kind, deliveries, and the records that carry them, for the tests of MAILER."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.instants import MICROS_PER_DAY, MICROS_PER_SECOND
from schemas.units import Origin
from streams.durable.machine import RawRecord
from streams.mailer.deliveries import Delivery, delivery_id_of
from streams.mailer.desk import DeskPolicy
from streams.mailer.notice import Notice, Recipient
from streams.mailer.retrying import RetryPolicy

USD = 1_000_000
DAY = MICROS_PER_DAY
SECOND = MICROS_PER_SECOND
T0 = 1_767_258_000 * SECOND
"""2026-01-01T09:00:00Z."""
OLGA = Recipient("workspace_owner", "olga", "olga@acme.example")
ARI = Recipient("app_owner", "ari", "ari@acme.example")
POLICY = DeskPolicy("quarterhour.example", RetryPolicy(), 4)


def notice(kind: str = "low_balance", offset: int = 1, **fields: Any) -> Notice:
    """An alert of a kind; `fields` replace or add."""
    return msgspec.structs.replace(
        Notice(
            f"acme/{kind}/{offset}", "acme", kind, T0, Origin("account.inbox", 0, offset, 1), 45 * USD,
            "Workspace acme has USD 45.00 of credit left, below USD 50.00.", recipients=(OLGA,),
        ),
        **fields,
    )  # fmt: skip


CATALOGUE: dict[str, Notice] = {
    "low_balance": notice(threshold_micros=50 * USD),
    "zero_balance": notice(
        "zero_balance", available_micros=0, threshold_micros=0, message="Workspace acme has no credit left."
    ),
    "free_credit_expiring_7": notice(
        "free_credit_expiring", due_us=T0 + 7 * DAY, amount_micros=123_456_789, grant_id="acme/welcome",
        message="USD 123.456789 of free credit of workspace acme expires in 7 days or less, at 2026-01-08T09:00:00Z.",
    ),
    "free_credit_expiring_1": notice(
        "free_credit_expiring", due_us=T0 + DAY, amount_micros=USD // 5, grant_id="acme/welcome",
        message="USD 0.20 of free credit of workspace acme expires in 1 day or less, at 2026-01-02T09:00:00Z.",
    ),
    "free_credit_lapsed": notice(
        "free_credit_lapsed", due_us=T0, amount_micros=10 * USD, available_micros=0,
        message="USD 10.00 of free credit of workspace acme lapsed at 2026-01-01T09:00:00Z.",
    ),
    "app_stopped": notice(
        "app_stopped", app="helper", available_micros=0, recipients=(OLGA, ARI),
        message="App helper of workspace acme has stopped responding: no credit.",
    ),
    "app_responding": notice(
        "app_responding", app="helper", available_micros=100 * USD, recipients=(OLGA, ARI),
        message="App helper of workspace acme responds again: paid credit.",
    ),
    "payment_failed": notice(
        "payment_failed", amount_micros=250 * USD,
        message="The payment of USD 250.00 for auto payment of workspace acme failed: card expired",
    ),
    "contract_usage_80": notice(
        "contract_usage", percent=80,
        message="Workspace acme has used 80,000 of the 100,000 requests of its contract's term (80 %).",
    ),
    "contract_usage_100": notice(
        "contract_usage", percent=100,
        message="Workspace acme has used 100,000 of the 100,000 requests of its contract's term (100 %).",
    ),
    "renewal_due": notice(
        "renewal_due", app="helper", due_us=T0 + 7 * DAY, amount_micros=50 * USD, recipients=(OLGA, ARI),
        message="The fee of USD 50.00 for helper of workspace acme is due at 2026-01-08T09:00:00Z.",
    ),
    "licence_changed": notice(
        "licence_changed", message="Workspace acme is now licensed for Automation AI and Search AI."
    ),
}  # fmt: skip
"""Every mail of the catalogue, by the name of its snapshot."""


def record(given: Notice, offset: int, appended_us: int = T0) -> RawRecord:
    """A record of `alerts`."""
    return RawRecord(offset, appended_us // 1000, given.workspace.encode(), msgspec.json.encode(given))


def delivery(given: Notice | None = None, recipient: str = "olga@acme.example", **fields: Any) -> Delivery:
    """A mail that waits since T0."""
    about = given or notice()
    base = Delivery(
        delivery_id_of(about.alert_id, "email", recipient), "email", recipient, about, T0,
        T0 + POLICY.retrying.give_up_us, T0, changed_us=T0,
    )  # fmt: skip
    return msgspec.structs.replace(base, **fields)
