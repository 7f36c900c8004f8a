"""API keys: making them, and a view of the topic `gateway.keys` that tells which workspace a secret belongs to.

A key as text is `qh_KEYID_SECRET`; only the SHA-256 of SECRET is kept. What was revoked never works again.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

import msgspec

from schemas.gateway_keys import ApiKey, decode_key

_TEXT = re.compile(r"qh_([0-9a-f]{16})_([A-Za-z0-9_-]{43})", re.ASCII)
_NOBODY = "0" * 64


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key: what is kept of it, and the text that is shown once."""

    key: ApiKey
    text: str


def issue(workspace: str, label: str, created_by: str, now_us: int) -> IssuedKey:
    """A new random key; raises ValueError naming the field that breaks the schema."""
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    key = ApiKey(key_id, workspace, _digest(secret), label, created_by, now_us)
    try:
        decode_key(msgspec.json.encode(key))
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    return IssuedKey(key, f"qh_{key_id}_{secret}")


def revoke(key: ApiKey, revoked_by: str, now_us: int) -> ApiKey:
    """The key, revoked; one that is revoked already stays as it is."""
    if key.revoked_us is not None:
        return key
    return msgspec.structs.replace(key, revoked_us=now_us, revoked_by=revoked_by)


class Keys:
    """Every key by id, as records of the topic told; feed it with a `Follower`."""

    def __init__(self) -> None:
        self.by_id: dict[str, ApiKey] = {}
        self.unreadable = 0

    def apply(self, key: bytes, value: bytes | None, partition: int, offset: int) -> None:
        """Take in one record. A revoked key stays revoked whatever follows; what is no key is counted."""
        if value is None:
            self.by_id.pop(key.decode(errors="replace"), None)
            return
        try:
            found = decode_key(value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.unreadable += 1
            return
        held = self.by_id.get(found.key_id)
        if held is None or held.revoked_us is None:
            self.by_id[found.key_id] = found

    def workspace_of(self, text: str) -> str | None:
        """The workspace that the key opens, None if it opens none. Takes the same time for every wrong secret."""
        parts = _TEXT.fullmatch(text)
        if parts is None:
            return None
        key = self.by_id.get(parts[1])
        same = hmac.compare_digest(_digest(parts[2]), key.secret_sha256 if key is not None else _NOBODY)
        return key.workspace if key is not None and same and key.revoked_us is None else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
