"""JSON Schema (2020-12) of every record that crosses a topic."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.alerts import Alert
from schemas.aside import SetAside
from schemas.commands import InboxRecord
from schemas.entitlements import Entitlement
from schemas.gateway_keys import ApiKey
from schemas.interactions import InteractionEvent
from schemas.ledger import LedgerRecord
from schemas.mails import DeadMail, MailRetry, MailStep, Webhook
from schemas.payments import PaymentRequest
from schemas.replies import Reply

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schemas() -> dict[str, dict[str, Any]]:
    """By the name of its file: `interaction`, `ledger`, ..."""
    return {
        "interaction": {"$schema": _DIALECT, **InteractionEvent.model_json_schema()},
        "account-inbox": {"$schema": _DIALECT, **msgspec.json.schema(InboxRecord)},
        "ledger": {"$schema": _DIALECT, **msgspec.json.schema(LedgerRecord)},
        "alert": {"$schema": _DIALECT, **msgspec.json.schema(Alert)},
        "entitlement": {"$schema": _DIALECT, **msgspec.json.schema(Entitlement)},
        "payment-request": {"$schema": _DIALECT, **msgspec.json.schema(PaymentRequest)},
        "reply": {"$schema": _DIALECT, **msgspec.json.schema(Reply)},
        "set-aside": {"$schema": _DIALECT, **msgspec.json.schema(SetAside)},
        "api-key": {"$schema": _DIALECT, **msgspec.json.schema(ApiKey)},
        "mail-step": {"$schema": _DIALECT, **msgspec.json.schema(MailStep)},
        "dead-mail": {"$schema": _DIALECT, **msgspec.json.schema(DeadMail)},
        "mail-retry": {"$schema": _DIALECT, **msgspec.json.schema(MailRetry)},
        "webhook": {"$schema": _DIALECT, **msgspec.json.schema(Webhook)},
    }
