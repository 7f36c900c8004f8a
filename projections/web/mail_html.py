"""The HTML part of a mail, for the frame on the mail's page: no script, nothing loaded, no origin, whatever it is."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from projections import particulars
from projections.membership import Need
from projections.web.caught import Catcher, CatcherAway
from projections.web.database import Database, NotReady
from projections.web.gate import NotAdmitted, admitted, signed_of

POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'self'"


def html_route(database: Database, catcher: Catcher) -> Route:
    """Where the frame's text is; the need is that of the mail's page."""

    def show(request: Request) -> Response:
        path = request.path_params

        def found(client: Client) -> str:
            admitted(client, signed_of(request), Need.WHOLE, path)
            sent = particulars.delivery(client, path["workspace"], path["delivery_id"])
            return sent[0].message_id if sent else ""

        try:
            mail = catcher.mail(database.ask(found))
        except NotAdmitted as error:
            return PlainTextResponse(str(error), error.status)
        except (NotReady, CatcherAway) as error:
            return PlainTextResponse(str(error), 503)
        if mail is None or not mail.html:
            return PlainTextResponse("There is no such text.", 404)
        return HTMLResponse(mail.html, headers={"Content-Security-Policy": POLICY})

    return Route("/workspaces/{workspace}/mails/{delivery_id}/html", show, name="page_mail_html")
