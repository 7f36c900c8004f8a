"""What the ingest answers: one result for each event, or one error for the whole request. And with which status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.errors import InvalidRecord

WRONG_WORKSPACE = "wrong_workspace"
NOT_ACKNOWLEDGED = "not_acknowledged"


class Fault(Struct, frozen=True, omit_defaults=True):
    """What is wrong: a stable `reason`, the dotted `field` and the `value` found there, the `rule` it breaks."""

    reason: str
    detail: str
    field: str = ""
    value: str = ""
    rule: str = ""

    @classmethod
    def of(cls, error: InvalidRecord) -> Fault:
        """METER's own words for it."""
        return cls(error.reason, error.detail, error.field, error.value, error.rule)


class Result(Struct, frozen=True, omit_defaults=True):
    """One event: `accepted` (it stands at topic, partition, offset), `refused` (never as it is), or `unknown`: it was
    not acknowledged in time and may stand in the topic; send it again with the same source and id, it counts once."""

    index: Annotated[int, Meta(ge=0)]
    status: Literal["accepted", "refused", "unknown"]
    id: str | None = None
    source: str | None = None
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    error: Fault | None = None


class Answer(Struct, frozen=True, omit_defaults=True):
    """Counts, and the results in the order of the events. `error` where the request as a whole was not taken."""

    accepted: Annotated[int, Meta(ge=0)]
    refused: Annotated[int, Meta(ge=0)]
    unknown: Annotated[int, Meta(ge=0)]
    results: list[Result]
    error: Fault | None = None


class RequestRefused(Exception):
    """The whole request is refused, before any event was taken; `retry_after` in seconds where waiting helps."""

    def __init__(self, status: int, fault: Fault, retry_after: int | None = None) -> None:
        super().__init__(fault.detail)
        self.status, self.fault, self.retry_after = status, fault, retry_after


def answer_of(results: Sequence[Result]) -> tuple[int, Answer]:
    """The status and the answer: 200 all accepted, 207 some, and none: 503, 403, 413, 400 or 422 by the reasons."""
    counts = {"accepted": 0, "refused": 0, "unknown": 0}
    for result in results:
        counts[result.status] += 1
    answer = Answer(counts["accepted"], counts["refused"], counts["unknown"], list(results))
    if answer.accepted == len(results):
        return 200, answer
    if answer.accepted:
        return 207, answer
    if answer.unknown:
        return 503, answer
    reasons = {result.error.reason for result in results if result.error is not None}
    only = reasons.pop() if len(reasons) == 1 else ""
    return {WRONG_WORKSPACE: 403, "too_large": 413, "not_json": 400}.get(only, 422), answer
