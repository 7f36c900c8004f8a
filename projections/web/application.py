"""Page and API as one ASGI application: nothing foreign is loaded; without sign-in foreign host names are refused."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from projections.gauges import render
from projections.web import api
from projections.web.account_api import AccountApi
from projections.web.acting import acting_routes
from projections.web.caught import Catcher
from projections.web.database import Database, NotReady
from projections.web.gate import Gate, signed_of
from projections.web.mail_html import html_route
from projections.web.pages import Pages
from projections.web.sign_in import sign_in_routes
from schemas.catalog import Catalog
from schemas.health import JSON, health_answer, ready_answer
from schemas.settings import Settings
from schemas.signin import usable_key

_STATIC = Path(__file__).with_name("static")
# A name that someone else's page resolves to 127.0.0.1 is not ours: without sign-in it must not read us. With sign-in
# it has no cookie of ours.
_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
_HEADERS = (
    (b"content-security-policy", b"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
     b"img-src 'self' data:; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),  # browsers tell a form's origin only so
    (b"cache-control", b"no-store"),
)  # fmt: skip


def application(
    database: Database, catalog: Catalog, settings: Settings | None = None, accounts: AccountApi | None = None,
    catcher: Catcher | None = None,
) -> Starlette:  # fmt: skip
    """The application; `/health` answers without asking ClickHouse, `/ready` asks it.

    `settings`: the signing key (without one there is no sign-in: loopback's names only, and nothing can be changed) and
    addresses of the account API and the mail catcher, unless `accounts` and `catcher` are given.
    """
    settings = settings or Settings(signing_key="", accounts_url="")
    key = settings.signing_key and usable_key(settings.signing_key)
    accounts = accounts or AccountApi(settings.accounts_url)
    catcher = catcher or Catcher(settings.mailbox_url)
    pages = Pages(database, catalog, accounts, settings, catcher)

    async def healthy(_: Request) -> Response:
        status, body = health_answer("page")
        return Response(body, status, media_type=JSON)

    def ready(_: Request) -> Response:
        missing = ""
        try:
            database.ask(lambda client: client.command("SELECT count() FROM schema_migrations"))
        except NotReady as error:
            missing = str(error)
        status, body = ready_answer("page", {"clickhouse": missing})
        return Response(body, status, media_type=JSON)

    def metrics(_: Request) -> Response:
        try:
            return Response(database.ask(render), media_type=CONTENT_TYPE_LATEST)
        except NotReady as error:
            return PlainTextResponse(f"{error}\n", 503)

    def not_found(request: Request, _: Exception) -> Response:
        if request.url.path.startswith("/api/"):
            return api.not_found(request.url.path)
        return pages.render_error(404, "Nothing here", f"There is no page {request.url.path}.", signed_of(request))

    def failed(_: Request, __: Exception) -> Response:
        return pages.render_error(500, "Something went wrong", "The log of this page's process says what.")

    return Starlette(
        routes=[
            Route("/health", healthy), Route("/ready", ready), Route("/metrics", metrics),
            *api.routes(database, catalog), *pages.routes(), html_route(database, catcher),
            *acting_routes(pages, accounts), *sign_in_routes(key, pages.render),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ],
        middleware=[
            Middleware(_Headers), Middleware(TrustedHostMiddleware, allowed_hosts=["*"] if key else _HOSTS),
            Middleware(Gate, key=key),
        ],
        exception_handlers={404: not_found, 500: failed},
    )  # fmt: skip


class _Headers:
    """Adds the headers that every answer has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message["headers"]}  # stricter ones of a foreign text
                added = [(name, value) for name, value in _HEADERS if name not in own]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
