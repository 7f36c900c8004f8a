"""The page and query API over HTTP, on the funded world in an embedded ClickHouse. No browser here."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from projections.connect import connect, ensure_database
from projections.embedded.process import wait_until_ready
from projections.migrate import migrate
from projections.web.process import command
from scripts.stack.ports import free_port
from tests.projections.funded_world import FUNDS, HALF, funded_world
from tests.projections.loading import load_all
from tests.projections.small_world import GIVEN, PRICE

ACME = "/workspaces/acme"
APRIL = "first=2026-04-01&last=2026-04-06"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Any
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Site:
    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path: str, **headers: str) -> Reply:
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Reply(answer.status, answer.headers, answer.read().decode(errors="replace"))
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, error.headers, error.read().decode())


@contextmanager
def served(clickhouse_url: str, log_file: Path) -> Iterator[Site]:
    port = free_port()
    environment = {**os.environ, "CLICKHOUSE_URL": clickhouse_url}
    with log_file.open("wb") as log:
        process = subprocess.Popen(command(port), env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until_ready(f"http://127.0.0.1:{port}", 120, "/health")
        yield Site(port)
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def site(clickhouse_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The page over the funded world."""
    url = f"{clickhouse_server}/web"
    ensure_database(url)
    client = connect(url)
    migrate(client)
    asyncio.run(load_all(client, funded_world().log))
    with served(url, tmp_path_factory.mktemp("web") / "log") as site:
        yield site
    client.command("DROP DATABASE web SYNC")
    client.close()


def test_metrics_say_how_fresh_the_tables_are(site: Site) -> None:
    """T6."""
    found = site.get("/metrics")
    assert found.status == 200
    assert found.headers["content-type"].startswith("text/plain")
    assert 'quarterhour_freshness_seconds{quantile="0.99",topic="ledger"}' in found.text


def test_t5_the_account_view(site: Site) -> None:
    view = site.get(f"/api{ACME}").json
    credit = 2 * FUNDS - 2 * PRICE - HALF
    assert (view["free_micros"], view["paid_shared_micros"] + view["paid_apps_micros"]) == (0, credit)
    assert view["allowed_requests"] == credit // PRICE  # E3
    assert (view["status"], view["plan"], view["ledger_records"]) == ("sufficient funds", "Standard", 12)
    lapsed = next(grant for grant in view["grants"] if grant["lapsed_micros"])
    assert (lapsed["given_micros"], lapsed["used_micros"]) == (GIVEN, 2 * PRICE)
    apps = {app["app"]: app for app in view["apps"]}
    assert (apps["helper"]["billed_units"], apps["helper"]["paid"], apps["helper"]["credit_micros"]) == (
        1, True, FUNDS - PRICE,
    )  # fmt: skip
    assert view["late_events"] == 0  # the small world's late record names no workspace


def test_the_list_of_workspaces(site: Site) -> None:
    (acme,) = site.get("/api/workspaces").json
    assert (acme["workspace"], acme["due_micros"], acme["charged_micros"]) == ("acme", 0, 5 * PRICE)


def test_t1_t2_the_trend_as_json_and_csv(site: Site) -> None:
    points = site.get(f"/api{ACME}/trend?{APRIL}&by=app").json
    assert sum(point["units"] for point in points) == 3
    csv = site.get(f"/api{ACME}/trend?{APRIL}&format=csv")
    assert csv.headers["content-type"].startswith("text/csv")
    assert csv.text.splitlines()[1] == "2026-04-01,,,,1,0,0,1,200000,0,0,200000"
    assert len(site.get(f"/api{ACME}/trend").json) == 7
    days = site.get(f"/api{ACME}/trend?{APRIL}").json
    bars = re.findall(r'<g class="bar"><title>([^<]*)</title>', site.get(f"{ACME}?{APRIL}").text)
    kinds = ("free", "paid", "due")
    expected = [f"{day['period']}: {day[f'{kind}_units']} {kind}" for kind in kinds for day in days]
    assert bars == [words for words in expected if ": 0 " not in words] != []


@pytest.mark.parametrize(
    ("query", "field", "rule"),
    [
        ("first=2026-01-01&last=2026-04-01", "last", "T2"),
        ("first=2026-01-01", "last", "T2"),
        ("grain=month&months=4", "months", "T3"),
        ("grain=month&first=2025-01-01&last=2026-01-01", "last", "T3"),
        ("zone=Moon", "zone", "T2: days are the reader's"),
        ("first=soon&last=later", "last", "T2-T4"),
        ("by=user", "by", "T1"),
        ("grain=year", "grain", ""),
    ],
)
def test_t7_a_range_outside_the_rules_is_an_error_that_names_the_rule(
    site: Site, query: str, field: str, rule: str
) -> None:
    reply = site.get(f"/api{ACME}/trend?{query}")
    assert reply.status == 422
    assert (reply.json["field"], reply.json["rule"]) in ((field, rule), ("first", rule))
    assert reply.json["error"]


def test_l4_the_balance_as_of_an_instant(site: Site) -> None:
    query = urllib.parse.urlencode({"at": "2026-02-01T00:00:00+00:00"})
    balance = site.get(f"/api{ACME}/balance?{query}").json
    assert (balance["free_micros"], balance["basis"]) == (GIVEN - PRICE, "effect")
    assert site.get(f"/api{ACME}/balance?at=yesterday").status == 422
    assert site.get(f"/api{ACME}/balance?at=2026-01-01T00:00:00").status == 422  # no offset


def test_l7_explain(site: Site) -> None:
    entry = site.get(f"/api{ACME}/ledger/2").json
    assert [event["id"] for event in entry["units"][0]["events"]] == ["a1", "a2", "a3"]
    unit = entry["units"][0]["unit"]["unit_id"]
    assert site.get(f"/api{ACME}/units/{unit}").json["why"].startswith("Charged once")
    (event,) = site.get(f"/api{ACME}/events?id=d1").json
    assert "developer" in event["why"]
    assert site.get(f"/api{ACME}/ledger/99").status == 404
    assert site.get(f"/api{ACME}/ledger/x").status == 422


def test_the_ledger_can_be_read_page_by_page(site: Site) -> None:
    newest = site.get(f"/api{ACME}/ledger?limit=5").json
    assert [entry["sequence"] for entry in newest] == [12, 11, 10, 9, 8]
    older = site.get(f"/api{ACME}/ledger?limit=5&before=8").json
    assert [entry["sequence"] for entry in older] == [7, 6, 5, 4, 3]
    assert older[2]["due_micros"] == PRICE
    assert site.get(f"/api{ACME}/ledger?limit=0").status == 422


def test_the_document_describes_every_operation(site: Site) -> None:
    document = site.get("/api/openapi.json").json
    assert document["openapi"] == "3.1.0"
    assert len(document["paths"]) == 13
    text = json.dumps(document)
    for reference in set(re.findall(r"#/components/schemas/(\w+)", text)):
        assert reference in document["components"]["schemas"]
    trend = document["paths"]["/api/workspaces/{workspace}/trend"]["get"]
    assert {p["name"] for p in trend["parameters"]} >= {"workspace", "first", "last", "months", "zone", "by"}


class Outline(HTMLParser):
    """Tags opened and closed, links and foreign addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.foreign: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "input", "br", "line", "option"):
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on") and name != "style", "the policy forbids inline code"
            if name in ("href", "src", "action") and value:
                (self.links if value.startswith(("/", "#")) else self.foreign).append(value)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("line", "option"):
            assert self.open.pop() == tag


@pytest.mark.parametrize(
    ("path", "holds"),
    [
        ("/", "acme"),
        (ACME, "No billed units in these days"),
        (f"{ACME}?{APRIL}", "<svg"),
        (f"{ACME}?first=2026-01-01&last=2026-12-31", "at most 90"),
        (f"{ACME}/ledger/2", "Charged once"),
        (f"{ACME}/ledger/12", "taken back"),
        (f"{ACME}/ledger/4", "lapsed"),
        (f"{ACME}/events?id=a3", "Billed"),
        (f"{ACME}/events?id=nothing", "No event of this id"),
    ],
)
def test_pages_are_whole_and_load_nothing_from_elsewhere(site: Site, path: str, holds: str) -> None:
    reply = site.get(path)
    assert reply.status == 200
    assert holds in reply.text
    outline = Outline(reply.text)
    assert outline.open == []
    assert outline.foreign == []
    assert "default-src 'none'" in reply.headers["content-security-policy"]


def test_every_link_of_the_pages_leads_somewhere(site: Site) -> None:
    seen: set[str] = set()
    waiting = ["/", f"{ACME}?{APRIL}"]
    while waiting and len(seen) < 300:
        path = waiting.pop()
        seen.add(path)
        reply = site.get(path)
        assert reply.status == 200, path
        if reply.headers["content-type"].startswith("text/html"):
            links = {link for link in Outline(reply.text).links if link.startswith("/")}
            waiting += links - seen - set(waiting)
    assert f"{ACME}/ledger/12" in seen


def test_names_from_outside_are_text_only(site: Site) -> None:
    path = urllib.parse.quote("/workspaces/<script>alert(1)<")
    reply = site.get(path)
    assert reply.status == 404
    assert "<script>alert" not in reply.text
    assert site.get(f"{ACME}/events?id=%3Cb%3E").text.count("<b>") == 0


def test_a_foreign_host_name_is_refused(site: Site) -> None:
    """Without sign-in, a page elsewhere must not read us under a name of its own."""
    assert site.get("/", Host="evil.example").status == 400


def test_unknown_pages_and_workspaces_say_so(site: Site) -> None:
    assert "no workspace nobody" in site.get("/workspaces/nobody").text
    assert site.get("/nowhere").status == 404
    assert site.get("/api/workspaces/nobody").status == 404


def test_without_tables_and_without_clickhouse_the_page_says_so(clickhouse_server: str, tmp_path: Path) -> None:
    ensure_database(f"{clickhouse_server}/bare")
    with served(f"{clickhouse_server}/bare", tmp_path / "log") as site:
        assert (site.get("/").status, site.get("/api/workspaces").status) == (503, 503)
        assert "LOADER makes them" in site.get("/").text
        assert (site.get("/health").status, site.get("/ready").status) == (200, 503)
        assert "LOADER makes them" in site.get("/ready").text
    with served("http://127.0.0.1:1/quarterhour", tmp_path / "log") as site:
        reply = site.get("/")
        assert reply.status == 503
        assert "does not answer" in reply.text
        assert (site.get("/health").status, site.get("/ready").status) == (200, 503)


def test_before_anything_is_loaded_the_page_is_empty_and_says_so(
    client: Any, clickhouse_server: str, tmp_path: Path
) -> None:
    with served(f"{clickhouse_server}/{client.database}", tmp_path / "log") as site:
        text = site.get("/").text
        assert "No workspace has a ledger yet" in text
        assert "Nothing has been loaded yet" in text
