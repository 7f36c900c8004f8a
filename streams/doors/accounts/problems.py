"""What is wrong with a request, as data and as an answer."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct
from starlette.responses import Response

from schemas.errors import QuarterhourError


class Problem(Struct, frozen=True, omit_defaults=True):
    """What is wrong: `error` a sentence; `field`, `value` and `rule` where one of them is to blame."""

    error: str
    field: str = ""
    value: str = ""
    rule: str = ""


class Refused(QuarterhourError):
    """A request that goes no further: an HTTP status, and what is wrong."""

    def __init__(self, status: int, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem.error)
        self.status, self.problem, self.headers = status, problem, dict(headers or {})

    def response(self) -> Response:
        """As an answer."""
        return answer(self.problem, self.status, self.headers)


def answer(content: Struct, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(msgspec.json.encode(content), status, dict(headers or {}), media_type="application/json")
