"""The Plan & Usage page: server-rendered HTML, no build step, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from projections import account, explain
from projections.ranges import RangeRefused
from projections.trends import TrendPoint, trend
from projections.web import present
from projections.web.asked import BadParameter, sequence_of, trend_asked, utc_now
from projections.web.chart import chart
from projections.web.database import Database, NotReady
from schemas.catalog import Catalog

_FOLDER = Path(__file__).with_name("templates")
_RANGE_FIELDS = ("grain", "first", "last", "months", "zone")


@dataclass(frozen=True, slots=True)
class Refused:
    """A trend that was asked for outside the rules (T7)."""

    error: str


class NoSuchPage(Exception):
    """Nothing has this name; the message says what."""


class Pages:
    """Renders pages from typed queries."""

    def __init__(self, database: Database, catalog: Catalog) -> None:
        self._database, self._catalog = database, catalog
        # Autoescape everywhere: names come from outside.
        self._templates = Environment(
            loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True,
        )  # fmt: skip
        self._templates.filters.update(
            usd=present.usd, about=present.about, instant=present.instant, span=present.span, words=present.words
        )

    def routes(self) -> list[Route]:
        """All pages."""
        one = "/workspaces/{workspace}"
        return [
            Route("/", self._page("workspaces.html", self._workspaces)),
            Route(one, self._page("workspace.html", self._workspace)),
            Route(f"{one}/ledger/{{sequence}}", self._page("entry.html", self._entry)),
            Route(f"{one}/events", self._page("events.html", self._events)),
        ]

    def render_error(self, status: int, title: str, message: str) -> Response:
        """A page that says what is wrong."""
        text = self._templates.get_template("error.html").render(title=title, message=message)
        return HTMLResponse(text, status)

    def _page(
        self, template: str, gather: Callable[[Client, Request], dict[str, Any]]
    ) -> Callable[[Request], Response]:
        def page(request: Request) -> Response:
            try:
                found = self._database.ask(lambda client: gather(client, request))
            except NotReady as error:
                return self.render_error(503, "No figures yet", str(error))
            except NoSuchPage as error:
                return self.render_error(404, "Nothing here", str(error))
            except BadParameter as error:
                return self.render_error(422, "That cannot be shown", str(error))
            return HTMLResponse(self._templates.get_template(template).render(**found))

        return page

    def _workspaces(self, client: Client, _: Request) -> dict[str, Any]:
        return {"workspaces": account.workspaces(client), "fresh": account.freshness(client), "age": _age}

    def _workspace(self, client: Client, request: Request) -> dict[str, Any]:
        name = request.path_params["workspace"]
        view = account.account_view(client, name, self._catalog)
        if view is None:
            raise NoSuchPage(f"The ledger knows no workspace {name}.")
        points, days = _points(client, name, request)
        asked = {field: request.query_params.get(field, "") for field in _RANGE_FIELDS}
        return {
            "view": view, "asked": asked, "refused": points if isinstance(points, Refused) else None,
            "points": [] if isinstance(points, Refused) else points, "days": days,
            "chart": None if isinstance(points, Refused) else chart(points),
            "entries": account.ledger(client, name), "fresh": account.freshness(client), "age": _age,
            "newest": _newest_days(view), "query": request.url.query, "low": self._catalog.alerts.low_balance_micros,
        }  # fmt: skip

    def _entry(self, client: Client, request: Request) -> dict[str, Any]:
        name, sequence = request.path_params["workspace"], sequence_of(request.path_params["sequence"])
        entry = explain.explain_entry(client, name, sequence)
        if entry is None:
            raise NoSuchPage(f"The ledger of workspace {name} has no record {sequence}.")
        return {"entry": entry}

    def _events(self, client: Client, request: Request) -> dict[str, Any]:
        name, event_id = request.path_params["workspace"], request.query_params.get("id", "")
        found = explain.explain_event(client, event_id, name) if event_id else []
        return {"workspace": name, "id": event_id, "found": found}


def _points(client: Client, workspace: str, request: Request) -> tuple[list[TrendPoint] | Refused, Any]:
    try:
        asked = trend_asked(request.query_params, utc_now())
        return trend(client, workspace, asked.days, asked.grain), asked.days
    except (RangeRefused, BadParameter) as error:
        return Refused(str(error)), None


def _newest_days(view: account.AccountView) -> dict[str, str] | None:
    """The seven days up to the newest billed unit: where to look if the default range is empty."""
    last = max((app.last_billed for app in view.apps if app.last_billed is not None), default=None)
    if last is None:
        return None
    return {"first": f"{last - timedelta(days=6):%Y-%m-%d}", "last": f"{last:%Y-%m-%d}"}


def _age(instant: datetime | None) -> str:
    """How long ago by the wall clock."""
    if instant is None:
        return "never"
    return present.span(max(0, int((utc_now() - instant).total_seconds() * 1000)))
