"""The hot path's `decode` and the contract `InteractionEvent` accept and refuse the same records, with the same values.

The contract is the oracle: pydantic and Python's own JSON parser share no code with msgspec.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.errors import InvalidRecord
from schemas.instants import micros_of, text_of
from schemas.interactions import MAX_RECORD_BYTES, TICK, Interaction, InteractionEvent, decode
from schemas.nesting import MAX_DEPTH, depth_of

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "a",
    "source": "/gateways/web-1",
    "type": "quarterhour.message.v1",
    "time": "2026-01-31T09:00:00.25Z",
    "data": {"workspace": "acme", "app": "helper", "channel": "web", "user": "u", "direction": "inbound", "chars": 3},
}
TICKS = {**EVENT, "type": TICK}


class Changed(NamedTuple):
    """An event with one field changed, named so that a failure says which."""

    path: str
    value: Any

    def record(self, event: dict[str, Any] = EVENT) -> bytes:
        """The event as a record."""
        changed: dict[str, Any] = json.loads(json.dumps(event))
        *outer, name = self.path.split(".")
        place = changed
        for part in outer:
            place = place[part]
        place[name] = self.value
        return json.dumps(changed).encode()


def by_decode(record: bytes) -> Interaction | None:
    """What the hot path makes of a record; None when it refuses it. Anything but InvalidRecord is a failure."""
    try:
        return decode(record)
    except InvalidRecord:
        return None


def by_contract(record: bytes) -> Interaction | None:
    """The same by the contract."""
    try:
        event = InteractionEvent.of_record(record)
    except (ValueError, RecursionError):
        return None
    found = Interaction(event.type, event.source, event.id, micros_of(event.time))
    data = event.data
    if event.type == TICK or data is None:
        return found
    return Interaction(
        found.type, found.source, found.id, found.time_us, data.workspace, data.app, data.channel, data.user,
        data.direction, data.actor, data.environment, data.chars,
    )  # fmt: skip


def assert_same(record: bytes) -> Interaction | None:
    """Both agree; what they agree on."""
    decoded, agreed = by_decode(record), by_contract(record)
    assert decoded == agreed
    return decoded


TIMES = {
    "2026-01-01T00:00:00Z": "2026-01-01T00:00:00.000000Z",
    "2026-01-01t00:00:00z": "2026-01-01T00:00:00.000000Z",
    "2026-01-01 00:00:00Z": "2026-01-01T00:00:00.000000Z",
    "2026-01-01T00:00:00.5Z": "2026-01-01T00:00:00.500000Z",
    "2026-01-01T00:00:00.1234564Z": "2026-01-01T00:00:00.123456Z",
    "2026-01-01T00:00:00.1234565Z": "2026-01-01T00:00:00.123457Z",
    "2026-01-01T00:00:00.123456499999Z": "2026-01-01T00:00:00.123456Z",
    "2026-01-01T00:00:59.9999995Z": "2026-01-01T00:01:00.000000Z",
    "2026-01-01T23:59:59+05:30": "2026-01-01T18:29:59.000000Z",
    "2026-01-01T23:59:59-05:30": "2026-01-02T05:29:59.000000Z",
    "2026-01-01T23:59:59+0530": "2026-01-01T18:29:59.000000Z",
    "2026-01-01T23:59:59+23:59": "2026-01-01T00:00:59.000000Z",
    "2026-01-01T23:59:59-00:00": "2026-01-01T23:59:59.000000Z",
    "2024-02-29T00:00:00Z": "2024-02-29T00:00:00.000000Z",
    "2000-01-01T00:00:00Z": "2000-01-01T00:00:00.000000Z",
    "1999-12-31T23:59:59.9999995Z": "2000-01-01T00:00:00.000000Z",
    "9999-12-31T23:59:59.999999Z": "9999-12-31T23:59:59.999999Z",
}
NO_TIMES = [
    "2016-12-31T23:59:60Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-02-29T00:00:00Z",
    "2026-13-01T00:00:00Z", "2026-01-01T00:00:00", "2026-01-01T00:00Z", "2026-1-1T00:00:00Z",
    "20260101T000000Z", "2026-W01-1T00:00:00Z", "2026-01-01_00:00:00Z", "2026-01-01T00:00:00,5Z",
    "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00+05", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+23:60",
    "2026-01-01T00:00:00+00:00Z", "2026-01-01T00:00:00−05:00", "２０２６-01-01T00:00:00Z",
    "1999-12-31T23:59:59.999999Z", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00",
    "0000-01-01T00:00:00Z", "9999-12-31T23:59:59.9999995Z", "9999-12-31T23:59:59-00:01",
    "9999-12-31T23:59:59.999999-23:59", "1767225600", "Z",
]  # fmt: skip


@pytest.mark.parametrize(("text", "instant"), TIMES.items())
def test_u4_a_time_is_read_to_the_microsecond(text: str, instant: str) -> None:
    found = assert_same(Changed("time", text).record())
    assert found is not None
    assert text_of(found.time_us) == instant


@pytest.mark.parametrize("text", [*NO_TIMES, "", " 2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z\n"])
def test_what_is_no_time_or_no_plausible_one_is_refused(text: str) -> None:
    assert assert_same(Changed("time", text).record()) is None


_TEXTS = ("a", "a" * 64, "é" * 256, "😀" * 256, "a b", "a\x80b", "\u2028", "\u200d", "a/b", "\u00a0")
_NAMES = ("a", "a" * 64, "a.b_c:d@e-f", "0")
_NO_TEXTS = ("", "a" * 257, "😀" * 257, "a\n", "\n", "a\x00b", "a\x1fb", "a\x7fb", "\t", "\ud800")
_NO_NAMES = (*_NO_TEXTS, "a" * 65, "a/b", "a b", "-a", ".a", "_a", "é", "a\u200d")
_NO_STRINGS: tuple[Any, ...] = (None, 1, 1.5, True, [], {}, ["a"])
_TEXT_FIELDS = ("id", "source", "data.user")
_NAME_FIELDS = ("data.workspace", "data.app", "data.channel")


def _each(path: str, values: Iterable[Any]) -> Iterator[Changed]:
    return (Changed(path, value) for value in values)


ACCEPTED: list[Changed] = [
    *(Changed(field, text) for field in _TEXT_FIELDS for text in _TEXTS),
    *(Changed(field, name) for field in _NAME_FIELDS for name in _NAMES),
    *_each("data.chars", (0, 10_000_000, None)),
    *_each("data.direction", ("inbound", "outbound")),
    *_each("data.actor", ("app", "human_agent")),
    *_each("data.environment", ("live", "developer", "test")),
    *(Changed("type", f"quarterhour.{kind}.v1") for kind in ("message", "notification", "alert", "tick")),
    *_each("unknown", (None, 1, 1.5, [], {}, "a\x00", [[[]]], {"data": 1})),
    *_each("data.unknown", (None, 10**30, {"user": 1})),
]
REFUSED: list[Changed] = [
    *(Changed(field, value) for field in _TEXT_FIELDS for value in (*_NO_TEXTS, *_NO_STRINGS)),
    *(Changed(field, value) for field in _NAME_FIELDS for value in (*_NO_NAMES, *_NO_STRINGS)),
    *_each("data.chars", (-1, 10_000_001, True, 1.5, "1", 10**30, -(10**30), [], {})),
    *_each("data.direction", ("Inbound", "", None, 1)),
    *_each("data.actor", ("bot", "", None, 1)),
    *_each("data.environment", ("prod", "", None, 1)),
    *_each("type", ("quarterhour.message.v2", "", None, 1)),
    *_each("specversion", ("0.3", "1", "", 1.0, 1, None)),
    *_each("time", (1767225600, 1767225600.5, None, True, [], {})),
    *_each("data", (None, [], "x", 1, {})),
]


@pytest.mark.parametrize("changed", ACCEPTED, ids=lambda changed: ascii(changed)[:60])
def test_both_accept(changed: Changed) -> None:
    assert assert_same(changed.record()) is not None


@pytest.mark.parametrize("changed", REFUSED, ids=lambda changed: ascii(changed)[:60])
def test_both_refuse(changed: Changed) -> None:
    assert assert_same(changed.record()) is None


@pytest.mark.parametrize("path", [*EVENT, *(f"data.{name}" for name in EVENT["data"])])
def test_both_agree_on_what_may_be_missing(path: str) -> None:
    event = json.loads(json.dumps(EVENT))
    place = event["data"] if path.startswith("data.") else event
    del place[path.removeprefix("data.")]
    assert (assert_same(json.dumps(event).encode()) is not None) == (path == "data.chars")


def test_a_tick_needs_no_data_and_what_it_has_must_be_right() -> None:
    assert assert_same(Changed("data", None).record(TICKS)) is not None
    assert assert_same(Changed("data.chars", 1).record(TICKS)) is not None
    for wrong in (Changed("data", {}), Changed("data", 1), Changed("data.app", "a/b"), Changed("data.user", "a\x01")):
        assert assert_same(wrong.record(TICKS)) is None


def _raw(replaced: str, by: bytes) -> bytes:
    record = json.dumps(EVENT).encode()
    assert record.count(replaced.encode()) == 1
    return record.replace(replaced.encode(), by)


_UNKNOWN = [
    "NaN", "Infinity", "-Infinity", "01", ".5", "1.", "+1", "tru", "'a'", "[1,]", '{"a":1,}', '"\\x"',
    '"\\u12"', '"\\ud800"', '"\\udc00\\ud800"', "1e400", "-1e400", "1E5", "-0", '"\\ud83d\\ude00"', "[[[]]]",
    '"\\u0000"',
]  # fmt: skip


@pytest.mark.parametrize(
    "text", [*(text.encode() for text in _UNKNOWN), b'"\x01"', b'"\xff"', b'"\xed\xa0\x80"', b'"\x7f"']
)
def test_both_agree_on_json_that_is_not_ours(text: bytes) -> None:
    assert_same(_raw('"specversion"', b'"x": ' + text + b', "specversion"'))


@pytest.mark.parametrize(
    "number", [b"1e2", b"1E0", b"1e400", b"-0", b"1.0", b"01", b"NaN", b"18446744073709551616", b"9" * 400]
)
def test_both_agree_on_numbers(number: bytes) -> None:
    assert_same(_raw('"chars": 3', b'"chars": ' + number))


@pytest.mark.parametrize(
    "record",
    [b"", b" ", b"null", b"1", b'"x"', b"[]", b"{}", b"{", b"\xff", json.dumps(EVENT).encode("utf-16"),
     b"\xef\xbb\xbf" + Changed("id", "a").record(), Changed("id", "a").record() + b" \r\n\t",
     Changed("id", "a").record() + b"x", Changed("id", "a").record() + b"\x00",
     _raw('"u"', b'"u\x7f"'), _raw('"u"', b'"u\x01"'), _raw('"u"', b'"\\u0075\\n"'), _raw('"u"', b'"\\u0041"'),
     _raw('"user"', b'"\\u0075ser"'), _raw('"u"', b'"\xc0\x80"'), _raw('"u"', b'"\\\\"')],
)  # fmt: skip
def test_both_agree_on_the_record_as_a_whole(record: bytes) -> None:
    assert_same(record)


def test_the_largest_and_deepest_records() -> None:
    record = Changed("id", "a").record()
    assert assert_same(record.ljust(MAX_RECORD_BYTES)) is not None
    assert assert_same(record.ljust(MAX_RECORD_BYTES + 1)) is None
    for levels in (MAX_DEPTH - 1, MAX_DEPTH, 1_500, 30_000):
        nested = _raw('"specversion"', b'"x": ' + b"[" * levels + b"]" * levels + b', "specversion"')
        assert (assert_same(nested) is not None) == (levels < MAX_DEPTH)
    for hostile in (b"[" * 60_000, b'"\\' * 30_000, b'"' * 60_000, b'{"a":' * 10_000):
        assert assert_same(hostile) is None
    assert depth_of(b'{"[[": "]{\\"[", "b": [[{}]]}') == 4


def test_of_a_name_given_twice_the_last_counts_and_a_wrong_type_before_it_is_refused() -> None:
    found = assert_same(_raw('"id": "a"', b'"id": "b", "id": "c"'))
    assert found is not None
    assert found.id == "c"
    assert assert_same(_raw('"id": "a"', b'"id": "b", "id": 1')) is None
    assert by_decode(_raw('"id": "a"', b'"id": 1, "id": "c"')) is None  # the contract would not notice


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
_PATHS = st.sampled_from([*EVENT, *(f"data.{name}" for name in EVENT["data"]), "data.actor", "data.environment", "x"])
_TIME = st.from_regex(
    r"\A[0-9]{4}-(0[1-9]|1[0-3])-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,9})?"
    r"([Zz]|[+-][0-2][0-9]:?[0-6][0-9])\Z"
)


@settings(max_examples=600, deadline=None)
@given(path=_PATHS, value=_VALUES, tick=st.booleans())
@example("data.user", "\x85", False)
def test_any_value_anywhere(path: str, value: Any, tick: bool) -> None:
    assert_same(Changed(path, value).record(TICKS if tick else EVENT))


@settings(max_examples=600, deadline=None)
@given(text=_TIME)
def test_any_time(text: str) -> None:
    assert_same(Changed("time", text).record())


@settings(max_examples=600, deadline=None)
@given(path=st.sampled_from([*_TEXT_FIELDS, *_NAME_FIELDS]), text=st.text(max_size=300), raw=st.booleans())
def test_any_text(path: str, text: str, raw: bool) -> None:
    record = Changed(path, text).record()
    assert_same(json.dumps(json.loads(record), ensure_ascii=False).encode("utf-8", "surrogatepass") if raw else record)


@settings(max_examples=600, deadline=None)
@given(at=st.integers(0, 400), removed=st.integers(0, 4), put=st.binary(max_size=4))
def test_any_damage_to_the_bytes(at: int, removed: int, put: bytes) -> None:
    record = json.dumps(EVENT).encode()
    assert_same(record[:at] + put + record[at + removed :])
