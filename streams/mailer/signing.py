"""Signatures of webhooks, as the Standard Webhooks specification has them: HMAC-SHA256 over id, time and body."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

from schemas.errors import ConfigurationError

_PREFIX = "whsec_"
_KEY_BYTES = 32


def new_secret() -> str:
    """A new random signing key as text."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def signed_headers(secret: str, message_id: str, time_seconds: int, body: bytes) -> dict[str, str]:
    """The headers of one attempt. The id is the delivery's, so a receiver can drop repeats; the time is the attempt's,
    so it can refuse what is replayed much later."""
    content = f"{message_id}.{time_seconds}.".encode() + body
    signature = base64.b64encode(hmac.new(_key(secret), content, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(time_seconds),
        "webhook-signature": f"v1,{signature}",
    }


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ConfigurationError("the webhook's secret is not `whsec_` and base64: remove it and add it anew") from None
