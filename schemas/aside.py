"""Records METER sets aside: rejected (bad input, or from the future) and late (older than the allowed lateness, U6).

Nothing disappears (law 7): each names its origin, so the whole record can be read again and re-driven.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from schemas.units import Micros, Origin, Text

MAX_KEPT_CHARACTERS = 4096


class SetAside(Struct, frozen=True, omit_defaults=True):
    """One record set aside. `payload` holds its first 4096 characters (undecodable bytes replaced); the whole stays at
    `origin`. `append_us` is the broker's append time, `watermark_us` the partition's watermark when it was judged."""

    origin: Origin
    reason: Text
    field: Annotated[str, Meta(max_length=256)]
    value: Annotated[str, Meta(max_length=256)]
    rule: Annotated[str, Meta(max_length=256)]
    detail: Annotated[str, Meta(max_length=1024)]
    append_us: Micros
    size_bytes: Annotated[int, Meta(ge=0)]
    payload_sha256: Annotated[str, Meta(max_length=64)]
    payload: Annotated[str, Meta(max_length=MAX_KEPT_CHARACTERS)]
    watermark_us: int | None = None
    time_us: int | None = None
    workspace: str = ""
    app: str = ""
    channel: str = ""
    user: str = ""
    source: str = ""
    id: str = ""
