"""Judging one event as METER will: the same decoder, the same errors; and whether the key may publish it."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.errors import InvalidRecord, excerpt
from schemas.instants import text_of
from schemas.interactions import TICK, read
from schemas.routing import interaction_key
from streams.doors.ingest.answers import WRONG_WORKSPACE
from streams.metering.policy import MeterPolicy

_FUTURE_US = MeterPolicy().future_us


@dataclass(frozen=True, slots=True)
class Judged:
    """A valid event: its record key and value, and its identity (U7)."""

    key: str
    value: bytes
    id: str
    source: str


def judge(value: bytes, workspace: str, now_us: int) -> Judged:
    """A valid event of the workspace; raises InvalidRecord naming field, value and rule.

    `now_us` is this machine's clock: METER judges by the broker's append time, which is about to be the same.
    """
    event, time_us = read(value)
    data = event.data
    if data is None or event.type == TICK:
        raise InvalidRecord(
            "invalid_field", "type", event.type, "ticks are the clock's own (U6)", "send no clock ticks"
        )
    if data.workspace != workspace:
        raise InvalidRecord(
            WRONG_WORKSPACE, "data.workspace", excerpt(data.workspace), "a key publishes for its own workspace",
            f"this key is of workspace {workspace}",
        )  # fmt: skip
    if time_us > now_us + _FUTURE_US:
        rule = f"at most {_FUTURE_US // 1_000_000} s ahead of the broker's append time (U6)"
        detail = f"the event is in the future: it was received at {text_of(now_us)}"
        raise InvalidRecord("too_early", "time", text_of(time_us), rule, detail)
    return Judged(interaction_key(workspace, data.app, data.channel, data.user), value, event.id, event.source)
