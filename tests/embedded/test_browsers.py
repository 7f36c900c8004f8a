"""Web pages that a person of this machine opens are no clients: they may neither change nor read anything."""

from __future__ import annotations

import pytest

from projections.embedded.browsers import web_page
from tests.embedded.conftest import Served
from tests.embedded.wire import ask

PAGES: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://[::1"},
    {"Origin": "http://127.0.0.1:8080"},
    {"Origin": "http://localhost.evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    {"Host": "evil.example"},
    {"Host": "127.0.0.1.evil.example:8123", "Origin": "http://127.0.0.1.evil.example:8123"},
]


@pytest.mark.parametrize("headers", PAGES, ids=str)
def test_a_web_page_neither_writes_nor_reads(served: Served, table: str, headers: dict[str, str]) -> None:
    plain = {"Content-Type": "text/plain", **headers}  # what a page may send without asking first
    for url in (served.url, served.readonly_url):
        for reply in (
            ask(url, f"DROP TABLE {table}", headers=plain),
            ask(url, query=f"INSERT INTO {table} (id) VALUES (1)", headers=plain),
            ask(url, method="GET", headers=headers, query=f"SELECT * FROM {table}"),
        ):
            assert reply.status == 403
            assert "Web pages are not served" in reply.text
            assert "access-control-allow-origin" not in reply.headers
    assert ask(served.url, f"SELECT count() FROM {table}").text == "0\n"


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8123", "db.localhost", "127.0.0.1:8123", "[::1]:8123", "10.1.2.3", "ip6-localhost:1", ""],
)
def test_programs_are_served_by_whatever_name_they_call_this_machine(host: str) -> None:
    assert web_page({"host": host}, is_local=True) is None
    assert web_page({"host": host, "sec-fetch-site": "none"}, is_local=True) is None
    assert web_page({"host": host, "origin": f"http://{host}"}, is_local=True) is None


def test_a_door_that_is_open_to_others_is_called_by_any_name_but_still_not_by_pages() -> None:
    assert web_page({"host": "clickhouse.example:8123"}, is_local=False) is None
    assert web_page({"host": "clickhouse.example:8123"}, is_local=True) is not None
    assert web_page({"host": "clickhouse.example", "origin": "https://evil.example"}, is_local=False) is not None
    for broken in ("http://[", "[::1", "::"):
        assert web_page({"host": broken}, is_local=True) is not None
