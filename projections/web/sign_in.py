"""Signing in and out: a token, pasted or in a link, becomes a cookie that no script and no other site can use."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from projections.web.gate import COOKIE, is_same_origin
from schemas.signin import SignInRefused, person_of

Render = Callable[..., str]
_LONGEST = timedelta(days=30)
_MAX_TOKEN_CHARACTERS = 4_096


def sign_in_routes(key: str, render: Render) -> list[Route]:
    """`/sign-in` and `/sign-out`; `render` makes a page of a template's name and its values."""

    def page(status: int, **values: Any) -> Response:
        return HTMLResponse(render("sign_in.html", has_key=bool(key), **values), status)

    def show(request: Request) -> Response:
        goes_to = _own_path(request.query_params.get("next", ""))
        token = request.query_params.get("token")
        if token is None:
            why = "The sign-in has expired or is not valid any more." if "why" in request.query_params else ""
            return page(200, why=why, goes_to=goes_to, person=None)
        # A page that moves on by itself, not a redirect: a Strict cookie would not come along where the link was on
        # another site. Either way the token is in no address that stays.
        return _taken(request, token, lambda person: page(200, why="", goes_to=goes_to, person=person), goes_to)

    async def take(request: Request) -> Response:
        form = await request.form()
        goes_to = _own_path(str(form.get("next", "")))
        if not is_same_origin(request):
            return page(403, why="That form was not on a page of ours.", goes_to=goes_to, person=None)
        return _taken(request, str(form.get("token", "")), lambda _: RedirectResponse(goes_to, 303), goes_to)

    def _taken(request: Request, token: str, done: Callable[[Any], Response], goes_to: str) -> Response:
        try:
            if not key:
                raise SignInRefused("there is no sign-in here: no signing key is set")
            person = person_of(token.strip()[:_MAX_TOKEN_CHARACTERS], key)
        except SignInRefused as why:
            return page(401, why=f"{str(why)[:1].upper()}{str(why)[1:]}.", goes_to=goes_to, person=None)
        response = done(person)
        response.set_cookie(
            COOKIE, token.strip(), max_age=int(_LONGEST.total_seconds()), httponly=True, samesite="strict",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return response

    async def leave(request: Request) -> Response:
        if not is_same_origin(request):
            return page(403, why="That form was not on a page of ours.", goes_to="/", person=None)
        response = RedirectResponse("/sign-in", 303)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    return [
        Route("/sign-in", show, methods=["GET"]), Route("/sign-in", take, methods=["POST"]),
        Route("/sign-out", leave, methods=["POST"]),
    ]  # fmt: skip


def _own_path(text: str) -> str:
    """A path of ours to go on to; the front page for anything else."""
    is_ours = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if is_ours and not text.startswith(("/sign-", "/api/")) else "/"
