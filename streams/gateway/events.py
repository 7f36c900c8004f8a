"""Making events, and checking them before they are sent with the decoder that METER judges them by."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Literal

import msgspec

from schemas.errors import InvalidRecord
from schemas.interactions import ALERT, MESSAGE, NOTIFICATION, TICK, Data, Event, read
from schemas.routing import interaction_key

Kind = Literal["message", "notification", "alert"]
_TYPES: dict[Kind, Literal["quarterhour.message.v1", "quarterhour.notification.v1", "quarterhour.alert.v1"]] = {
    "message": MESSAGE,
    "notification": NOTIFICATION,
    "alert": ALERT,
}
_encode = msgspec.json.Encoder().encode


def new_event(
    source: str,
    workspace: str,
    app: str,
    channel: str,
    user: str,
    direction: Literal["inbound", "outbound"],
    *,
    kind: Kind = "message",
    actor: Literal["app", "human_agent"] = "app",
    environment: Literal["live", "developer", "test"] = "live",
    chars: int | None = None,
    id: str | None = None,
    time: datetime | None = None,
) -> Event:
    """An event as gateways publish it. `id` (default: a random one) and `source` are its identity: keep them when you
    publish it again. `time` is when it happened, with a time zone; default: now."""
    data = Data(workspace, app, channel, user, direction, actor, environment, chars)
    return Event("1.0", id or str(uuid.uuid4()), source, _TYPES[kind], time or datetime.now(UTC), data)


def checked(event: Event | bytes) -> tuple[str, bytes, Event]:
    """Record key, value and event; raises InvalidRecord exactly where METER would reject it, and for a clock tick."""
    value = event if isinstance(event, bytes) else _encode(event)
    found, _ = read(value)
    data = found.data
    if data is None or found.type == TICK:
        rule = "ticks are the clock's own (U6)"
        raise InvalidRecord("invalid_field", "type", found.type, rule, "a gateway publishes no clock ticks")
    return interaction_key(data.workspace, data.app, data.channel, data.user), value, found
