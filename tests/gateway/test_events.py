"""Making and checking events in the SDK: what it takes is what METER takes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from schemas.errors import InvalidRecord
from schemas.interactions import InteractionEvent, decode
from streams.gateway.events import checked, new_event


def test_an_event_made_here_is_one_by_the_contract() -> None:
    time = datetime(2026, 1, 31, 9, tzinfo=UTC)
    event = new_event("/g", "acme", "helper", "web", "a/b", "inbound", id="e-1", time=time, chars=3)
    key, value, _ = checked(event)
    assert key == "acme/helper/web/a/b"
    assert decode(value).time_us == 1_769_850_000_000_000
    contract = InteractionEvent.of_record(value)
    assert contract.time == time
    assert contract.data is not None
    assert contract.data.chars == 3


def test_each_event_has_an_id_of_its_own_unless_given() -> None:
    ids = {new_event("/g", "w", "a", "c", "u", "outbound", kind="notification").id for _ in range(100)}
    assert len(ids) == 100


def test_bytes_are_passed_on_as_they_are() -> None:
    _, value, event = checked(new_event("/g", "w", "a", "c", "u", "inbound"))
    spaced = b"  " + value
    assert checked(spaced) == ("w/a/c/u", spaced, event)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("data.workspace", {"workspace": "a/b"}),
        ("data.user", {"user": ""}),
        ("data.direction", {"direction": "sideways"}),
        ("time", {"time": datetime(2026, 1, 31, 9)}),  # noqa: DTZ001 - no time zone on purpose
        ("time", {"time": datetime(1999, 1, 1, tzinfo=UTC)}),
        ("data.chars", {"chars": -1}),
    ],
)
def test_a_bad_event_is_refused_naming_the_field(field: str, changes: dict[str, object]) -> None:
    good = {"source": "/g", "workspace": "w", "app": "a", "channel": "c", "user": "u", "direction": "inbound"}
    with pytest.raises(InvalidRecord) as refused:
        checked(new_event(**{**good, **changes}))  # type: ignore[arg-type]
    assert refused.value.field == field


def test_a_clock_tick_is_refused() -> None:
    tick = b'{"specversion":"1.0","id":"1","source":"/c","type":"quarterhour.tick.v1","time":"2026-01-31T09:00:00Z"}'
    with pytest.raises(InvalidRecord, match="clock"):
        checked(tick)
