"""The interaction event: a CloudEvents 1.0 event in JSON (structured mode), as gateways publish it.

`InteractionEvent` (pydantic) is the contract, and what JSON Schema is exported from. `decode` is the same contract on
the hot path: a msgspec Struct plus the checks a Struct cannot express; `tests/schemas` holds the two equal.
A clock tick is an event of the same shape without `data`: it moves the watermark and is nobody's activity.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from schemas.errors import InvalidRecord, excerpt
from schemas.instants import micros_of
from schemas.nesting import MAX_DEPTH, depth_of

MAX_RECORD_BYTES: Final = 64 * 1024
"""Largest accepted value of one record; larger ones are rejected with reason `too_large`."""
REROUTED_HEADER: Final = "qh-rerouted-from"
"""Header METER puts on a record it moved to the partition its key belongs to: `partition:offset` of the first copy."""
EARLIEST_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Event times before this are implausible (a clock at 1970) and rejected, watermark or not."""
EARLIEST_MICROS: Final = micros_of(EARLIEST_TIME)
LATEST_MICROS: Final = micros_of(datetime.max.replace(tzinfo=UTC))
"""The last instant of the year 9999 UTC; an offset can put a text of that year past it."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}$(?!\n)"
"""Workspace, app and channel names: no slash (it separates the record key), no blanks."""
USER_PATTERN: Final = r"^[^\u0000-\u001f\u007f]{1,256}$(?!\n)"
"""End-user ids: any text of 1-256 characters without control characters."""
IDENTITY_PATTERN: Final = r"^[^\u0000-\u001f\u007f]{1,256}$(?!\n)"
"""CloudEvents `id` and `source`: the same."""

MESSAGE: Final = "quarterhour.message.v1"
NOTIFICATION: Final = "quarterhour.notification.v1"
ALERT: Final = "quarterhour.alert.v1"
TICK: Final = "quarterhour.tick.v1"


class Direction(StrEnum):
    """Which way a message went: `inbound` is the end user speaking, `outbound` the app's side."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Actor(StrEnum):
    """Who holds the app's side of the exchange: the `app`, or a `human_agent` after a hand-over (rule U12)."""

    APP = "app"
    HUMAN_AGENT = "human_agent"


class Environment(StrEnum):
    """`live` traffic is billed; `developer` and `test` traffic is counted apart and never billed (rule U12)."""

    LIVE = "live"
    DEVELOPER = "developer"
    TEST = "test"


_RFC3339 = re.compile(
    r"^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):?(\d\d))$(?!\n)", re.ASCII
)


def _rfc3339(value: object) -> datetime:
    """RFC 3339 text to a datetime; digits past the microsecond are rounded to the nearest (half up)."""
    if not isinstance(value, str):
        raise ValueError("time must be RFC 3339 text")
    found = _RFC3339.match(value)
    if found is None:
        raise ValueError("time must be RFC 3339 text with a time zone, e.g. 2026-01-31T09:00:00Z")
    year, month, day, hour, minute, second = (int(found[i]) for i in range(1, 7))
    fraction = (found[7] or "") + "0000000"
    micros = int(fraction[:6]) + (fraction[6] >= "5")
    offset = timedelta(hours=int(found[9] or 0), minutes=int(found[10] or 0))
    if int(found[9] or 0) > 23 or int(found[10] or 0) > 59:
        raise ValueError("time zone offset out of range")
    try:
        local = datetime(year, month, day, hour, minute, second, tzinfo=UTC) + timedelta(microseconds=micros)
        return local + offset if found[8] == "-" else local - offset
    except OverflowError:
        raise ValueError("time lies outside the years 1 to 9999") from None


Name = Annotated[str, Field(min_length=1, max_length=64, pattern=NAME_PATTERN)]
Identity = Annotated[str, Field(min_length=1, max_length=256, pattern=IDENTITY_PATTERN)]
UserId = Annotated[str, Field(min_length=1, max_length=256, pattern=USER_PATTERN)]
Instant = Annotated[datetime, BeforeValidator(_rfc3339, json_schema_input_type=str), Field(ge=EARLIEST_TIME)]


class InteractionData(BaseModel):
    """What happened: one message (or notification) between an end user and an app on a channel."""

    model_config = ConfigDict(strict=True, frozen=True, regex_engine="python-re")

    workspace: Name = Field(description="The workspace that pays.")
    app: Name = Field(description="The app that answered (rule U13).")
    channel: Name = Field(description="The channel, e.g. `web` or `whatsapp`.")
    user: UserId = Field(description="The end user's id on this channel; a pseudonym is as good.")
    direction: Literal["inbound", "outbound"] = Field(description="`inbound`: the end user spoke.")
    actor: Literal["app", "human_agent"] = Field("app", description="Who holds the app's side of the exchange.")
    environment: Literal["live", "developer", "test"] = Field("live", description="Only `live` is billed.")
    chars: Annotated[int, Field(ge=0, le=10_000_000)] | None = Field(None, description="Length of the text, if known.")


class InteractionEvent(BaseModel):
    """One CloudEvents 1.0 event as a gateway publishes it. Unknown attributes are allowed and ignored."""

    model_config = ConfigDict(strict=True, frozen=True, regex_engine="python-re", title="Quarterhour interaction event")

    specversion: Literal["1.0"]
    id: Identity = Field(description="With `source`, the event's identity: a second one changes nothing (rule U7).")
    source: Identity = Field(description="Who publishes, e.g. `/gateways/whatsapp-1`.")
    type: Literal[
        "quarterhour.message.v1", "quarterhour.notification.v1", "quarterhour.alert.v1", "quarterhour.tick.v1"
    ]
    time: Instant = Field(description="When it happened, RFC 3339 with a time zone (rule U4).")
    data: InteractionData | None = Field(None, description="Required but for a tick.")

    @model_validator(mode="after")
    def _data_unless_tick(self) -> InteractionEvent:
        if self.data is None and self.type != TICK:
            raise ValueError("data is required")
        return self

    @classmethod
    def of_record(cls, value: bytes) -> InteractionEvent:
        """One record's value by the contract, slowly: what `decode` must agree with. Raises ValueError.

        JSON as RFC 8259 has it, in UTF-8, no larger than `MAX_RECORD_BYTES` and no deeper than `MAX_DEPTH`. Of a name
        given twice the last value counts (`decode` refuses the event if an earlier one has the wrong type).
        """
        if len(value) > MAX_RECORD_BYTES or depth_of(value) > MAX_DEPTH:
            raise ValueError("the record is too large or too deep")
        found = json.loads(value.decode(), parse_int=_int, parse_constant=_refuse)
        json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair is no text
        return cls.model_validate(found)


def _int(text: str) -> int | float:
    """An integer as large as any field may hold; larger ones are no integer to any field."""
    return int(text) if len(text) < 20 else float(text)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


_Name = Annotated[str, Meta(min_length=1, max_length=64)]
_Text = Annotated[str, Meta(min_length=1, max_length=256)]


class Data(Struct, gc=False):
    """`InteractionData` on the hot path."""

    workspace: _Name
    app: _Name
    channel: _Name
    user: _Text
    direction: Literal["inbound", "outbound"]
    actor: Literal["app", "human_agent"] = "app"
    environment: Literal["live", "developer", "test"] = "live"
    chars: Annotated[int, Meta(ge=0, le=10_000_000)] | None = None


class Event(Struct, gc=False):
    """`InteractionEvent` on the hot path."""

    specversion: Literal["1.0"]
    id: _Text
    source: _Text
    type: Literal[
        "quarterhour.message.v1", "quarterhour.notification.v1", "quarterhour.alert.v1", "quarterhour.tick.v1"
    ]
    time: Annotated[datetime, Meta(tz=True)]
    data: Data | None = None


class Interaction(Struct, frozen=True, gc=False):
    """A decoded interaction: the fields metering needs, `time_us` in microseconds UTC. A tick has `workspace == ""`."""

    type: str
    source: str
    id: str
    time_us: int
    workspace: str = ""
    app: str = ""
    channel: str = ""
    user: str = ""
    direction: str = ""
    actor: str = ""
    environment: str = ""
    chars: int | None = None


_decode = msgspec.json.Decoder(Event).decode
_name_ok = re.compile(NAME_PATTERN).search
_text_ok = re.compile(USER_PATTERN).search
_BACKSLASH: Final = 0x5C
_DEL: Final = 0x7F
_KNOWN_NAMES_MAX = 100_000
_known_names: set[str] = set()


def decode(value: bytes | None) -> Interaction:
    """One record's value to an `Interaction`; raises `InvalidRecord` naming field, value and rule."""
    return interaction(*read(value))


def interaction(event: Event, time_us: int) -> Interaction:
    """What `read` gives, flat."""
    data = event.data
    if event.type == TICK or data is None:
        return Interaction(TICK, event.source, event.id, time_us)
    return Interaction(
        event.type, event.source, event.id, time_us, data.workspace, data.app, data.channel, data.user,
        data.direction, data.actor, data.environment, data.chars,
    )  # fmt: skip


def read(value: bytes | None) -> tuple[Event, int]:
    """One record's value checked whole, and its time in microseconds UTC; `data` is there unless it is a tick.

    The hot path (`python -m scripts.bench.meter`): 1 µs an event, two thirds of it msgspec's.
    """
    if value is None:
        raise InvalidRecord("not_json", "", "", "CloudEvents 1.0 structured mode", "the record has no value")
    if len(value) > MAX_RECORD_BYTES:
        limit = f"at most {MAX_RECORD_BYTES} bytes a record"
        raise InvalidRecord("too_large", "", f"{len(value)} bytes", limit, "the record is too large")
    if len(value) > 2 * MAX_DEPTH and depth_of(value) > MAX_DEPTH:
        raise InvalidRecord("not_json", "", "", f"at most {MAX_DEPTH} levels", "the record is nested too deeply")
    try:
        event = _decode(value)
        if not value.isascii():
            value.decode()  # msgspec passes over what it does not keep
    except msgspec.ValidationError as error:
        raise _invalid(value, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        shown = excerpt(value[:200].decode("utf-8", "replace"))
        raise InvalidRecord("not_json", "", shown, "RFC 8259", f"the record is not JSON: {error}") from None
    try:
        since = event.time - _EPOCH
        time_us = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    except OverflowError:
        time_us = -1
    if not EARLIEST_MICROS <= time_us <= LATEST_MICROS:
        rule = f"not before {EARLIEST_TIME:%Y-%m-%d} (U6)"
        raise InvalidRecord("implausible_time", "time", event.time.isoformat(), rule, "the event time is implausible")
    # JSON admits control characters as escapes only, and DEL: a record without a backslash or DEL holds none.
    if _BACKSLASH in value or _DEL in value:
        _check_texts(event)
    data = event.data
    if data is not None:
        if data.workspace not in _known_names:
            _check_name("workspace", data.workspace)
        if data.app not in _known_names:
            _check_name("app", data.app)
        if data.channel not in _known_names:
            _check_name("channel", data.channel)
    elif event.type != TICK:
        raise InvalidRecord("missing_field", "data", "", "interaction event schema", "data is required")
    return event, time_us


def _check_name(field: str, name: str) -> None:
    if _name_ok(name) is None:
        detail = "a name starts with a letter or digit and holds letters, digits and . _ : @ - only"
        raise InvalidRecord("invalid_field", f"data.{field}", excerpt(name), f"pattern {NAME_PATTERN}", detail)
    if len(_known_names) < _KNOWN_NAMES_MAX:
        _known_names.add(name)


def _check_texts(event: Event) -> None:
    texts = [("id", event.id), ("source", event.source)]
    if event.data is not None:
        texts.append(("data.user", event.data.user))
    for field, text in texts:
        if _text_ok(text) is None:
            raise InvalidRecord("invalid_field", field, excerpt(text), f"pattern {USER_PATTERN}", "control characters")


_MISSING = re.compile(r"missing required field `(\w+)`")
_AT = re.compile(r" - at `\$\.?(.*)`$")


def _invalid(value: bytes, message: str) -> InvalidRecord:
    """A validation failure of msgspec as an `InvalidRecord` with the path and the value found there."""
    at = _AT.search(message)
    path = at[1] if at else ""
    detail = message[: at.start()] if at else message
    missing = _MISSING.search(detail)
    if missing:
        field = f"{path}.{missing[1]}" if path else missing[1]
        return InvalidRecord("missing_field", field, "", "interaction event schema", f"{field} is required")
    return InvalidRecord("invalid_field", path, excerpt(_value_at(value, path)), "interaction event schema", detail)


def _value_at(value: bytes, path: str) -> object:
    try:
        found: Any = json.loads(value)
    except ValueError:  # what msgspec did not get to may be wrong as well
        return ""
    for part in path.split(".") if path else ():
        found = found.get(part) if isinstance(found, dict) else None
    return found
