"""Who is asking, found out in one place: a signed token as cookie or Bearer header, before any page or operation.

Without a signing key there is no sign-in: whoever reaches the port sees all, may do nothing, and is told so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
from clickhouse_connect.driver.client import Client
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from projections import membership
from projections.membership import Need, Standing
from projections.web.openapi import Problem
from schemas.errors import QuarterhourError
from schemas.signin import Person, SignInRefused, person_of

COOKIE = "quarterhour"
OPEN = frozenset({"/health", "/ready", "/metrics", "/sign-in", "/sign-out", "/api/openapi.json"})
"""What needs no sign-in, beside `/static/`: none of it says anything of a workspace."""


@dataclass(frozen=True, slots=True)
class Signed:
    """Who asks: a person and the token that says so; no person where there is no sign-in."""

    person: Person | None
    token: str = ""

    @property
    def is_operator(self) -> bool:
        """Whether all workspaces are open."""
        return self.person is None or self.person.is_operator

    @property
    def name(self) -> str:
        """The person's name; empty where there is no sign-in."""
        return self.person.name if self.person else ""


NO_SIGN_IN = Signed(None)


@dataclass(eq=False)
class NotAdmitted(QuarterhourError):
    """The person may not have this: 404 where not even its existence is told, else 403."""

    status: int
    words: str

    def __str__(self) -> str:
        return self.words


class Gate:
    """Puts a `Signed` into each request's state, or answers 401 (the API) or with the way to the sign-in page."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app, self._key = app, key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        state: dict[str, Any] = scope.setdefault("state", {})
        state["signed"] = NO_SIGN_IN
        path = request.url.path
        if self._key and path not in OPEN and not path.startswith("/static/"):
            try:
                state["signed"] = self._signed(request)
            except SignInRefused as why:
                await _sign_in(request, str(why))(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _signed(self, request: Request) -> Signed:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            token = request.cookies.get(COOKIE, "")
        if not token:
            raise SignInRefused("sign in first")
        return Signed(person_of(token.strip(), self._key), token.strip())


def signed_of(request: Request) -> Signed:
    """Who asks."""
    found: Signed = request.state.signed
    return found


def admitted(client: Client, signed: Signed, need: Need, path: Mapping[str, str], app: str = "") -> Standing:
    """What the person is in the workspace of the path, if that is enough for the need; raises NotAdmitted."""
    workspace = path.get("workspace", "")
    if signed.is_operator:
        return membership.OPERATOR
    standing = membership.standing(client, workspace, signed.name) if workspace else Standing("member")
    if standing.role == "stranger":
        raise NotAdmitted(404, f"There is no workspace {workspace} that {signed.name} is part of.")
    if not standing.meets(need, app):
        about = f"app {app}" if app and need in (Need.APP, Need.APP_SEEN) else "this"
        raise NotAdmitted(403, f"{signed.name} may not see {about} (W2).")
    return standing


def is_same_origin(request: Request) -> bool:
    """Whether a browser's form was on a page of ours; with SameSite=Strict, this keeps other sites' forms out."""
    origin = request.headers.get("origin", "null")
    if origin == "null":  # what a browser says where it tells no address
        return request.headers.get("sec-fetch-site") == "same-origin"
    return urlsplit(origin).netloc == request.headers.get("host", "")


def _sign_in(request: Request, why: str) -> Response:
    if request.url.path.startswith("/api/"):
        content = msgspec.json.encode(Problem(f"{why[:1].upper()}{why[1:]} (W2)."))
        return Response(content, 401, {"WWW-Authenticate": "Bearer"}, media_type="application/json")
    there = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    back = f"?next={quote(there, safe='')}" if request.method == "GET" and there != "/" else ""
    said = "" if why == "sign in first" else f"{'&' if back else '?'}why=refused"
    return RedirectResponse(f"/sign-in{back}{said}", 303)
