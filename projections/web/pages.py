"""The Plan & Usage page: server-rendered HTML, no build step, nothing from elsewhere. Which page is whose: `views`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from projections.web import present
from projections.web.account_api import AccountApi, Told
from projections.web.actions import offered
from projections.web.asked import BadParameter, utc_now
from projections.web.caught import Catcher
from projections.web.database import Database, NotReady
from projections.web.gate import NO_SIGN_IN, NotAdmitted, Signed, admitted, signed_of
from projections.web.views import VIEWS, View
from projections.web.visit import NoSuchPage, Visit
from schemas.catalog import Catalog
from schemas.settings import Settings

_FOLDER = Path(__file__).with_name("templates")
_NOTHING_LOST = "Nothing is lost: events are taken and counted all the same. This page tries again by itself."


@dataclass(frozen=True, slots=True)
class Said:
    """What became of a form: of which kind, about what (an app or a product), and what was filled in."""

    kind: str
    of: str
    told: Told
    filled: Mapping[str, str] = field(default_factory=dict)
    key: str = ""


class Pages:
    """Renders views for whom they are."""

    def __init__(
        self, database: Database, catalog: Catalog, api: AccountApi, settings: Settings, catcher: Catcher
    ) -> None:
        self._database, self._catalog, self._api, self._catcher = database, catalog, api, catcher
        # Autoescape everywhere: names come from outside.
        self._templates = Environment(
            loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True,
        )  # fmt: skip
        self._templates.filters.update(
            usd=present.usd,
            about=present.about,
            instant=present.instant,
            span=present.span,
            words=present.words,
            paid_for=present.paid_for,
            count=present.count,
        )
        self._templates.globals.update(
            age=present.age, new_key=lambda: f"page-{secrets.token_urlsafe(16)}",
            tickets_url=settings.tickets_url, community_url=settings.community_url,
        )  # fmt: skip

    def routes(self) -> list[Route]:
        """All pages."""
        return [Route(view.path, self._page(view), name=f"page_{view.name}") for view in VIEWS]

    def render(self, template: str, signed: Signed = NO_SIGN_IN, **values: Any) -> str:
        """A page of a template, for whom it is."""
        whole = {"standing": None, "workspace": "", "tab": "", "said": None, **values}
        return self._templates.get_template(template).render(signed=signed, **whole)

    def render_error(self, status: int, title: str, message: str, signed: Signed = NO_SIGN_IN) -> Response:
        """A page that says what is wrong."""
        return HTMLResponse(self.render("error.html", signed, title=title, message=message), status)

    def view(
        self, view: View, signed: Signed, path: Mapping[str, str], query: Mapping[str, str], said: Said | None = None,
        status: int = 200,
    ) -> Response:  # fmt: skip
        """A page, or a page that says why there is none."""
        try:
            template, found = self._database.ask(lambda client: self._gathered(client, view, signed, path, query))
        except NotReady as error:
            return self.render_error(503, "No figures now", f"{error} {_NOTHING_LOST}", signed)
        except NotAdmitted as error:
            return self.render_error(error.status, "Not for you" if error.status == 403 else "Nothing here", str(error), signed)  # noqa: E501  # fmt: skip
        except NoSuchPage as error:
            return self.render_error(404, "Nothing here", str(error), signed)
        except BadParameter as error:
            return self.render_error(422, "That cannot be shown", str(error), signed)
        said = said or self._told_before(signed, path, query)
        return HTMLResponse(self.render(template, signed, said=said, **found), status)

    def _gathered(
        self, client: Client, view: View, signed: Signed, path: Mapping[str, str], query: Mapping[str, str]
    ) -> tuple[str, dict[str, Any]]:
        standing = admitted(client, signed, view.need, path, path.get("app", ""))
        visit = Visit(client, self._catalog, path, query, signed, standing, utc_now(), self._catcher)
        template, found = view.gather(visit)
        can_act = signed.person is not None and self._api.is_there
        forms = offered(view.name, standing, path.get("app", "")) if can_act else ()
        moot = found.pop("moot", frozenset())  # what there is no occasion for now
        forms = tuple(action for action in forms if action.kind not in moot)
        base = {"standing": standing, "workspace": path.get("workspace", ""), "tab": view.tab, "page": view.name}
        return template, {"forms": {action.kind: action for action in forms}, **base, **found}

    def _told_before(self, signed: Signed, path: Mapping[str, str], query: Mapping[str, str]) -> Said | None:
        """What became of the form that led here."""
        key, kind = query.get("told", ""), query.get("did", "")
        if not key or not kind or signed.person is None:
            return None
        workspace = path.get("workspace") or query.get("in", "")
        told = self._api.ask_again(signed.token, workspace, key)
        if told.outcome == "unknown":
            told = Told("accepted", "It was given some time ago; the ledger shows what became of it.")
        return Said(kind, query.get("of", ""), told)

    def _page(self, view: View) -> Callable[[Request], Response]:
        def page(request: Request) -> Response:
            return self.view(view, signed_of(request), request.path_params, request.query_params)

        return page
