"""API keys of gateways: topic `gateway.keys`, compacted by key id; the newest record of a key is its whole state.

The secret itself is never kept, only its SHA-256: it has 256 random bits, so a slow hash would add nothing.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from schemas.units import Micros, Name, Text

KeyId = Annotated[str, Meta(pattern="^[0-9a-f]{16}$(?!\n)")]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$(?!\n)")]


class ApiKey(Struct, frozen=True, omit_defaults=True):
    """A key that lets a gateway publish events of one workspace, until `revoked_us`. Instants are microseconds UTC."""

    key_id: KeyId
    workspace: Name
    secret_sha256: Sha256
    label: Annotated[str, Meta(max_length=256)]
    created_by: Text
    created_us: Micros
    revoked_us: Micros | None = None
    revoked_by: Text | None = None


_decode = msgspec.json.Decoder(ApiKey).decode


def decode_key(value: bytes) -> ApiKey:
    """One record's value; raises `msgspec.MsgspecError` or `UnicodeDecodeError` for what is no key."""
    return _decode(value)


def encode_key(key: ApiKey) -> bytes:
    """The record's value; its record key is `key_id`."""
    return msgspec.json.encode(key)
