"""Forms: from a filled-in form to a command and back to the page that it was on, with what became of it.

A form carries a key that was made with it, so sending it twice counts once. What was obeyed, or is on its way, leads to
the page by a redirect; what was refused shows the form again, as filled in, with the refusal's sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from projections.web.account_api import AccountApi, Told
from projections.web.actions import Action, action_of
from projections.web.filled import Unreadable, command_fields
from projections.web.gate import is_same_origin, signed_of
from projections.web.pages import Pages, Said
from projections.web.views import VIEWS, View

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}")
_STATUS = {"refused": 422, "away": 503}


def acting_routes(pages: Pages, api: AccountApi) -> list[Route]:
    """Where forms are sent."""

    async def act(request: Request) -> Response:
        signed = signed_of(request)
        if signed.person is None:
            return pages.render_error(403, "Not done", "There is no sign-in here, so nothing can be changed.")
        if not is_same_origin(request):
            return pages.render_error(403, "Not done", "That form was not on a page of ours.", signed)
        async with request.form(max_fields=50, max_files=0) as sent:
            form = {name: str(value) for name, value in sent.items()}
        view = next((view for view in VIEWS if view.name == form.get("page")), None)
        action = action_of(view.name, request.path_params["kind"]) if view else None
        if view is None or action is None or not _KEY.fullmatch(form.get("key", "")):
            return pages.render_error(400, "Not done", "That form is none of ours; load the page again.", signed)
        path = {"workspace": request.path_params.get("workspace", ""), "app": form.get("app", "")}
        return await run_in_threadpool(_acted, request, view, action, path, form)

    def _acted(request: Request, view: View, action: Action, path: dict[str, str], form: dict[str, str]) -> Response:
        signed, key, of = signed_of(request), form["key"], form.get("of", "")
        workspace = path["workspace"] or form.get("workspace", "").strip()
        try:
            fields = command_fields(action, form)
            fields.pop("workspace", None)
            told = api.give(signed.token, workspace, action.kind, key, fields)
        except Unreadable as why:
            told = Told("refused", str(why))
        if told.outcome in _STATUS:
            # The same key again where nobody answered; after a refusal other content needs a new one.
            said = Said(action.kind, of, told, form, key if told.outcome == "away" else "")
            shown = pages.view(view, signed, path, {}, said, _STATUS[told.outcome])
            if shown.status_code == _STATUS[told.outcome]:
                return shown
            # A page that is not the person's to see: a form that was not shown to them.
            return pages.render_error(403 if told.outcome == "refused" else 503, "Not done", told.words, signed)
        query = {"did": action.kind, "of": of, "told": key} | ({} if path["workspace"] else {"in": workspace})
        return RedirectResponse(f"{address_of(view, path)}?{urlencode(query)}#do-{action.kind}{of}", 303)

    one = "/workspaces/{workspace}/actions/{kind}"
    return [Route("/actions/{kind}", act, methods=["POST"]), Route(one, act, methods=["POST"])]


def address_of(view: View, path: Mapping[str, str]) -> str:
    """The address of a page."""
    return view.path.format(**{name: quote(value, safe="") for name, value in path.items()})
