"""W2: who sees which page and which answer of the query API. Every route times every role, over a real ClickHouse."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from clickhouse_connect.driver.client import Client
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from projections.web.application import application
from projections.web.caught import Catcher
from projections.web.database import Database
from projections.web.gate import COOKIE
from schemas.catalog import load_catalog
from schemas.settings import Settings
from schemas.signin import Person, issue
from tests.projections.people_world import EVERYBODY
from tests.projections.serving import serving

KEY = "k" * 40
MARCH = "first=2026-01-01&last=2026-01-07"
ALL, WHOLE = set(EVERYBODY), {"olga", "wanda"}
PART = {"olga", "wanda", "anton", "bea", "cole", "max", "ivy"}
OF_SHOP = WHOLE | {"anton"}

# Per route: the path asked for, and who gets it. Everybody else gets 403, or 404 who is no part of the workspace.
ROUTES: dict[str, list[tuple[str, set[str]]]] = {
    "page_workspaces": [("/", ALL)],
    "page_overview": [("/workspaces/acme", PART), ("/workspaces/other", {"olga", "otto"})],
    "page_usage": [("/workspaces/acme/usage", WHOLE), ("/workspaces/acme/usage?app=shop", WHOLE)],
    "page_apps": [("/workspaces/acme/apps", WHOLE)],
    "page_app": [("/workspaces/acme/apps/shop", OF_SHOP | {"cole"}), ("/workspaces/acme/apps/lab", WHOLE | {"bea"})],
    "page_credit": [("/workspaces/acme/credit", WHOLE)],
    "page_plan": [("/workspaces/acme/plan", WHOLE)],
    "page_people": [("/workspaces/acme/people", PART)],
    "page_alerts": [("/workspaces/acme/alerts", WHOLE)],
    "page_mail": [("/workspaces/acme/mails/d1", WHOLE)],
    "page_mail_html": [("/workspaces/acme/mails/d1/html", WHOLE)],
    "page_ledger": [("/workspaces/acme/ledger", WHOLE)],
    "page_entry": [("/workspaces/acme/ledger/1", WHOLE)],
    "page_events": [("/workspaces/acme/events?id=e1", WHOLE)],
    "page_unit": [("/workspaces/acme/units/UNIT_OF_SHOP", OF_SHOP)],
    "page_statements": [("/workspaces/acme/statements", WHOLE)],
    "api_workspaces": [("/api/workspaces", ALL)],
    "api_account": [("/api/workspaces/acme", WHOLE), ("/api/workspaces/other", {"olga", "otto"})],
    "api_trend": [
        (f"/api/workspaces/acme/trend?{MARCH}", WHOLE),
        (f"/api/workspaces/acme/trend?{MARCH}&app=shop&format=csv", OF_SHOP),
        (f"/api/workspaces/acme/trend?{MARCH}&app=lab&app=shop", OF_SHOP),
        (f"/api/workspaces/acme/trend?{MARCH}&app=shop&app=lab", WHOLE | {"bea"}),
    ],
    "api_statement": [(f"/api/workspaces/acme/statement?{MARCH}&format=pdf", WHOLE)],
    "api_what_if": [(f"/api/workspaces/acme/what-if?{MARCH}&plan=essential", WHOLE)],
    "api_profile": [("/api/workspaces/acme/profile", WHOLE)],
    "api_export": [(f"/api/workspaces/acme/exports/charges?{MARCH}", WHOLE)],
    "api_balance": [("/api/workspaces/acme/balance", WHOLE)],
    "api_ledger": [("/api/workspaces/acme/ledger", WHOLE)],
    "api_explain_entry": [("/api/workspaces/acme/ledger/1", WHOLE)],
    "api_explain_unit": [("/api/workspaces/acme/units/UNIT_OF_SHOP", OF_SHOP)],
    "api_explain_event": [("/api/workspaces/acme/events?id=e1", WHOLE)],
    "api_freshness": [("/api/freshness", ALL)],
}
CATCHER = "http://catcher.example/mails"
HOSTILE = b"""Message-ID: <d1@quarterhour.example>\r
From: a@x.example\r
To: wanda@example.com\r
Subject: =?utf-8?q?Low_=3Cb=3Ebalance?=\r
MIME-Version: 1.0\r
Content-Type: multipart/alternative; boundary=x\r
\r
--x\r
Content-Type: text/plain; charset=utf-8\r
\r
</pre><script>alert(1)</script>\r
--x\r
Content-Type: text/html; charset=utf-8\r
\r
<p>Dear <b>owner</b></p><script>alert(2)</script><img src=https://evil.example/seen>\r
--x--\r
"""
OPEN_ROUTES = {"/health", "/ready", "/metrics", "/sign-in", "/sign-out", "/static", "/api/openapi.json"}
FORMS = {"/actions/{kind}", "/workspaces/{workspace}/actions/{kind}"}


@pytest.fixture(scope="module")
def served(people_database: tuple[str, Client]) -> Starlette:
    settings, catcher = Settings(signing_key=KEY, accounts_url=""), Catcher(CATCHER, httpx.MockTransport(caught))
    return application(Database(people_database[0]), load_catalog(), settings, catcher=catcher)


def caught(request: httpx.Request) -> httpx.Response:
    """A catcher that holds the mail of d1, as it would be if somebody else had written it."""
    if request.url.path.endswith("/kept"):
        return httpx.Response(200, content=HOSTILE)
    is_here = request.url.params.get("message_id") == "<d1@quarterhour.example>"
    return httpx.Response(200, json=[{"id": "kept"}] if is_here else [])


@pytest.fixture(scope="module")
def address(served: Starlette) -> Iterator[str]:
    with serving(served) as found:
        yield found


@pytest.fixture(scope="module")
def unit(people_database: tuple[str, Client]) -> str:
    query = "SELECT unit_id FROM ledger_charges WHERE app = 'shop' LIMIT 1"
    return str(people_database[1].query(query).first_row[0])


def token(name: str, lifetime: timedelta = timedelta(hours=1), key: str = KEY) -> str:
    return issue(Person(name, "operator" if name == "olga" else "user"), key, datetime.now(UTC), lifetime)


@pytest.fixture(scope="module")
def clients(address: str) -> Iterator[dict[str, httpx.Client]]:
    found = {name: httpx.Client(base_url=address, cookies={COOKIE: token(name)}, timeout=30) for name in EVERYBODY}
    yield found
    for client in found.values():
        client.close()


@pytest.fixture
def nobody(address: str) -> Iterator[httpx.Client]:
    """Somebody who has not signed in."""
    with httpx.Client(base_url=address, timeout=30) as client:
        yield client


def test_the_table_holds_every_route(served: Starlette) -> None:
    routes = [route for route in served.routes if isinstance(route, Route)]
    assert {route.name for route in routes if route.name.startswith(("page_", "api_"))} == set(ROUTES)
    others = {route.path for route in routes if not route.name.startswith(("page_", "api_"))}
    others |= {route.path for route in served.routes if isinstance(route, Mount)}
    assert others == OPEN_ROUTES | FORMS


@pytest.mark.parametrize(("path", "whose"), [case for cases in ROUTES.values() for case in cases])
def test_w2_every_route_for_every_role(clients: dict[str, httpx.Client], unit: str, path: str, whose: set[str]) -> None:
    for name, client in clients.items():
        reply = client.get(path.replace("UNIT_OF_SHOP", unit))
        part = PART if "/acme" in path else {"olga", "otto"}
        refused = {403} if name in part else {404}
        refused |= {404} if "/units/" in path else set()  # as if there were none
        assert reply.status_code in ({200} if name in whose else refused), (name, path, reply.text[:300])


def test_w2_without_a_token_nothing_is_shown(nobody: httpx.Client, unit: str) -> None:
    client = nobody
    for path, _ in [case for cases in ROUTES.values() for case in cases]:
        reply = client.get(path.replace("UNIT_OF_SHOP", unit))
        if path.startswith("/api/"):
            assert (reply.status_code, reply.json()["error"]) == (401, "Sign in first (W2).")
        else:
            assert (reply.status_code, reply.headers["location"].split("?")[0]) == (303, "/sign-in")
    for path in ("/health", "/ready", "/metrics", "/static/page.css", "/sign-in"):
        assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    "bad", [token("olga", timedelta(seconds=-1)), token("olga", key="x" * 40), "none", token("olga")[:-4], "a.b.c"]
)
def test_w2_a_token_that_is_old_or_not_ours_opens_nothing(nobody: httpx.Client, bad: str) -> None:
    client = nobody
    assert client.get("/api/workspaces", headers={"Authorization": f"Bearer {bad}"}).status_code == 401
    link = client.get(f"/sign-in?token={bad}")
    assert link.status_code == 401
    assert "The token " in link.text
    assert COOKIE not in client.cookies


def test_the_api_takes_a_bearer_token_or_the_cookie(nobody: httpx.Client) -> None:
    client = nobody
    bearer = {"Authorization": f"Bearer {token('wanda')}"}
    assert [line["workspace"] for line in client.get("/api/workspaces", headers=bearer).json()] == ["acme"]
    client.cookies.set(COOKIE, token("otto"))
    assert [line["workspace"] for line in client.get("/api/workspaces").json()] == ["other"]
    client.cookies.set(COOKIE, token("olga"))
    assert {line["workspace"] for line in client.get("/api/workspaces").json()} == {"acme", "other"}
    client.cookies.set(COOKIE, token("anton"))  # owns an app, not the workspace
    assert client.get("/api/workspaces").json() == []


def test_w2_the_owner_of_an_app_sees_its_figures_and_none_of_the_workspace(clients: dict[str, httpx.Client]) -> None:
    own = clients["anton"].get(f"/workspaces/acme/apps/shop?{MARCH}").text
    assert "Newest charges" in own
    assert "200.00" in own
    assert "<svg" in own
    front = clients["anton"].get("/workspaces/acme").text
    assert "shop" in front
    for secret in (">lab<", "499.", "500.00", "Free credit", "wanda"):
        assert secret not in front
        assert secret not in own


def test_w2_a_collaborator_sees_the_app_without_billing(clients: dict[str, httpx.Client]) -> None:
    text = clients["cole"].get("/workspaces/acme/apps/shop").text
    assert "anton" in text
    for secret in ("200.00", "Own credit", "Cost", "Newest charges", "Allowed requests"):
        assert secret not in text


def test_a_mail_is_shown_as_text_and_its_html_in_a_frame_that_can_do_nothing(clients: dict[str, httpx.Client]) -> None:
    page = clients["wanda"].get("/workspaces/acme/mails/d1")
    assert "Low &lt;b&gt;balance" in page.text
    assert "&lt;/pre&gt;&lt;script&gt;alert(1)" in page.text
    assert '<iframe class="mail" title="The mail as a mail program shows it" sandbox src=' in page.text
    assert "alert(2)" not in page.text
    assert "frame-src 'self'" in page.headers["content-security-policy"]
    part = clients["wanda"].get("/workspaces/acme/mails/d1/html")
    assert "<b>owner</b>" in part.text
    (policy,) = part.headers.get_list("content-security-policy")
    assert policy.startswith("sandbox; default-src 'none';"), "no script, no image, no origin, wherever it is opened"
    assert part.headers["x-content-type-options"] == "nosniff"


def test_of_a_mail_that_was_not_caught_the_steps_are_shown(clients: dict[str, httpx.Client]) -> None:
    page = clients["wanda"].get("/workspaces/acme/mails/d2")
    assert "does not hold this mail any more" in page.text
    assert "250 OK" in page.text
    assert clients["wanda"].get("/workspaces/acme/mails/d2/html").status_code == 404
    assert clients["wanda"].get("/workspaces/acme/mails/none").status_code == 404
    assert clients["otto"].get("/workspaces/other/mails/d1").status_code == 404, "of another workspace"
    assert clients["otto"].get("/workspaces/other/mails/d1/html").status_code == 404


def test_while_the_catcher_is_away_the_page_of_a_mail_says_so(people_database: tuple[str, Client]) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("away", request=request)

    catcher = Catcher(CATCHER, httpx.MockTransport(away))
    served = application(Database(people_database[0]), load_catalog(), Settings(signing_key=KEY), catcher=catcher)
    with serving(served) as address, httpx.Client(base_url=address, cookies={COOKIE: token("wanda")}) as client:
        page = client.get("/workspaces/acme/mails/d1")
        assert (page.status_code, "does not answer" in page.text) == (200, True)
        assert client.get("/workspaces/acme/mails/d1/html").status_code == 503


def test_signing_in_by_link_and_by_form_and_out_again(nobody: httpx.Client) -> None:
    client, ours = nobody, str(nobody.base_url).rstrip("/")
    link = client.get(f"/sign-in?token={token('wanda')}&next=/workspaces/acme")
    assert link.status_code == 200
    assert 'content="0; url=/workspaces/acme"' in link.text
    flags = link.headers["set-cookie"].lower()
    assert "httponly" in flags
    assert "samesite=strict" in flags
    secure = httpx.get(link.request.url, headers={"X-Forwarded-Proto": "https"})
    assert "secure" in secure.headers["set-cookie"].lower()
    assert client.get("/workspaces/acme").status_code == 200
    assert client.post("/sign-out", headers={"Origin": "https://evil.example"}).status_code == 403
    left = client.post("/sign-out", headers={"Origin": ours})
    assert (left.status_code, left.headers["location"]) == (303, "/sign-in")
    assert client.get("/workspaces/acme").status_code == 303
    form = {"token": token("wanda"), "next": "//evil.example/"}
    assert client.post("/sign-in", data=form).status_code == 403  # no Origin: no form of ours
    done = client.post("/sign-in", data=form, headers={"Origin": ours})
    assert (done.status_code, done.headers["location"]) == (303, "/")


@pytest.mark.parametrize("place", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_after_signing_in_one_goes_on_to_pages_of_ours_only(nobody: httpx.Client, place: str) -> None:
    reply = nobody.get("/sign-in", params={"token": token("wanda"), "next": place})
    assert 'content="0; url=/"' in reply.text


def test_without_a_signing_key_there_is_no_sign_in_and_it_says_so(people_database: tuple[str, Client]) -> None:
    without = application(Database(people_database[0]), load_catalog())
    with serving(without) as address, httpx.Client(base_url=address, timeout=30) as client:
        _sees_all_and_does_nothing(client)


def _sees_all_and_does_nothing(client: httpx.Client) -> None:
    assert "There is no sign-in here" in client.get("/").text
    assert "Add funds" not in client.get("/workspaces/acme/credit").text
    assert client.get("/api/workspaces").status_code == 200
    assert client.post("/workspaces/acme/actions/add_funds", data={}).status_code == 403
    assert "No sign-in" in client.get("/sign-in").text
