"""The query API's statements, what-if, exports and document, over the funded world, in process."""

from __future__ import annotations

import asyncio
import csv
import io
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pyarrow.ipc
import pyarrow.parquet
import pypdf
import pytest
import schemathesis
import uvicorn
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from projections.connect import connect, ensure_database
from projections.migrate import migrate
from projections.profile import profile
from projections.ranges import Days
from projections.statement import statement
from projections.web.application import application
from projections.web.database import Database
from projections.web.openapi import document
from projections.web.operations import OPERATIONS, Operation
from projections.what_if import Terms, priced
from schemas.catalog import load_catalog
from tests.projections.funded_world import FUNDS, HALF, funded_world
from tests.projections.loading import load_all
from tests.projections.small_world import GIVEN, PRICE

ACME = "/api/workspaces/acme"
APRIL = "first=2026-04-01&last=2026-04-30"
HALF_YEAR = "first=2025-11-01&last=2026-04-30"


@pytest.fixture(scope="module")
def world(clickhouse_server: str) -> Iterator[Client]:
    """The funded world in a database of this module."""
    ensure_database(f"{clickhouse_server}/query_api")
    client = connect(f"{clickhouse_server}/query_api")
    migrate(client)
    asyncio.run(load_all(client, funded_world().log))
    yield client
    client.command("DROP DATABASE query_api SYNC")
    client.close()


@pytest.fixture(scope="module")
def api(world: Client, clickhouse_server: str) -> Iterator[httpx.Client]:
    """The API on a port of loopback, in a thread of this process."""
    served = application(Database(f"{clickhouse_server}/query_api"), load_catalog())
    server = uvicorn.Server(uvicorn.Config(served, host="127.0.0.1", port=0, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        yield client
    server.should_exit = True
    thread.join()


def get(api: httpx.Client, path: str) -> Any:
    answer = api.get(f"{ACME}/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def by_credit(found: Any) -> dict[str, dict[str, int]]:
    return {balance["credit"]: balance for balance in found["balances"]}


def test_a_statement_adds_up_and_tells_what_it_rests_on(api: httpx.Client, world: Client) -> None:
    """The history of `funded_world`: April, from record 5 to 12."""
    found = get(api, f"statement?{APRIL}")
    credit = by_credit(found)
    assert credit["due"]["charged_micros"] == PRICE
    assert credit["due"]["settled_micros"] == -PRICE
    assert (credit["free"]["opening_micros"], credit["free"]["closing_micros"]) == (0, 0)
    assert (credit["free"]["added_micros"], credit["free"]["charged_micros"]) == (HALF, -HALF)
    shared = credit["paid_shared"]
    assert (shared["added_micros"], shared["settled_micros"], shared["charged_micros"]) == (FUNDS, -PRICE, -HALF)
    apps = credit["paid_apps"]
    assert (apps["charged_micros"], apps["returned_micros"]) == (-2 * PRICE, PRICE)
    assert apps["closing_micros"] == FUNDS - PRICE
    assert {(c["app"], c["charged_units"], c["reversed_units"], c["micros"]) for c in found["charges"]} == {
        ("bot", 2, 0, 2 * PRICE),
        ("helper", 2, 1, PRICE),
    }
    assert (found["first_record"], found["last_record"], found["records"]) == (5, 12, 8)
    newest = world.query("SELECT hash FROM ledger_entries WHERE sequence = 12").first_row[0]
    assert (found["last_hash"], found["ledger_hash"], found["ledger_records"]) == (newest, newest, 12)


@pytest.mark.parametrize("cut", ["2025-12-31", "2026-01-01", "2026-03-30", "2026-03-31", "2026-04-02", "2026-04-04"])
def test_two_statements_side_by_side_are_one_over_both(api: httpx.Client, cut: str) -> None:
    """The closing of one is the opening of the next, columns add up, and the last closing is the balance (L1, L4)."""
    day_after = date.fromordinal(date.fromisoformat(cut).toordinal() + 1)
    one, two = (
        get(api, f"statement?first=2025-11-01&last={cut}"),
        get(api, f"statement?first={day_after}&last=2026-04-30"),
    )
    whole = get(api, f"statement?{HALF_YEAR}")
    assert one["charged_micros"] + two["charged_micros"] == whole["charged_micros"]
    assert one["records"] + two["records"] == whole["records"] == 12
    account = api.get(ACME).json()
    for credit, balance in by_credit(whole).items():
        before, after = by_credit(one)[credit], by_credit(two)[credit]
        assert (balance["opening_micros"], before["closing_micros"]) == (0, after["opening_micros"])
        assert balance["closing_micros"] == after["closing_micros"] == account[f"{credit}_micros"]
        columns = [name for name in balance if name not in ("credit", "opening_micros", "closing_micros")]
        assert all(before[name] + after[name] == balance[name] for name in columns)
        assert balance["other_micros"] == 0
    assert by_credit(whole)["free"]["lapsed_micros"] == -(GIVEN - 2 * PRICE)


def test_a_statement_is_of_the_days_of_our_calendar_alone(world: Client) -> None:
    """C3-C8: charges and balances agree where ClickHouse's calendar has another offset for the zone, as an older one
    has after a country changed its mind."""
    hour_ahead = b"TZif" + bytes(16) + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + struct.pack(">lbb", 3600, 0, 0) + b"ONE\0"
    day, zone = date(2026, 4, 4), ZoneInfo.from_file(io.BytesIO(hour_ahead), key="UTC")
    found = statement(world, "acme", Days(day, day, zone))  # from 3 April 23:00 UTC on
    assert found is not None
    assert [(line.app, line.charged_units, line.reversed_units) for line in found.charges] == [("bot", 1, 0)]
    assert found.charged_micros == PRICE == -sum(balance.charged_micros for balance in found.balances)


def test_a_statement_as_csv_and_as_pdf_says_the_same(api: httpx.Client) -> None:
    found = get(api, f"statement?{APRIL}")
    text = api.get(f"{ACME}/statement?{APRIL}&format=csv")
    assert text.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(text.text)))
    values = {(row["line"], row["of"], row["figure"]): row["value"] for row in rows}
    assert values["balance", "paid_shared", "closing_micros"] == str(by_credit(found)["paid_shared"]["closing_micros"])
    assert values["charge", "bot / conversation / standard", "charged_units"] == "2"
    assert values["statement", "", "last_hash"] == found["last_hash"]
    answer = api.get(f"{ACME}/statement?{APRIL}&format=pdf")
    assert answer.headers["content-type"] == "application/pdf"
    assert 'filename="statement.pdf"' in answer.headers["content-disposition"]
    page = pypdf.PdfReader(io.BytesIO(answer.content)).pages[0].extract_text()
    for words in ("Workspace: acme", "2026-04-01 to 2026-04-30", "USD 0.60", "99.70", "99.80", found["last_hash"]):
        assert words in page


def test_t5_the_profile_over_http_is_the_profile(api: httpx.Client, world: Client) -> None:
    """What it holds is the business of `test_profile`; an unknown workspace has none."""
    found = get(api, "profile")
    asked = profile(world, "acme", load_catalog())
    assert found == msgspec.json.decode(msgspec.json.encode(asked))
    assert found["workspace"] == "acme"
    assert {licence["licensed"] for licence in found["licences"]} == {False}
    assert api.get("/api/workspaces/nobody/profile").status_code == 404


def test_a_quiet_period_has_a_statement_and_an_unknown_workspace_none(api: httpx.Client) -> None:
    found = get(api, "statement?first=2030-01-01&last=2030-12-31")
    assert (found["records"], found["last_hash"], found["charges"]) == (0, "", [])
    assert api.get("/api/workspaces/nobody/statement").status_code == 404
    pdf = api.get(f"{ACME}/statement?first=2030-01-01&last=2030-12-31&format=pdf")
    assert "none in this period" in pypdf.PdfReader(io.BytesIO(pdf.content)).pages[0].extract_text()


def test_u10_what_the_same_units_would_have_cost(api: httpx.Client, world: Client) -> None:
    query = "SELECT sum(billable_delta) FROM unit_events WHERE kind = {kind:String} AND start >= '2026-04-01'"
    talks = world.query(query, parameters={"kind": "conversation"}).first_row[0]
    sessions = world.query(query, parameters={"kind": "session"}).first_row[0]
    essential = get(api, f"what-if?plan=essential&{APRIL}")
    assert sum(line["units"] for line in essential["lines"]) == talks == 4
    assert {line["app"]: line["fee_micros"] for line in essential["lines"]} == {"bot": 50_000_000, "helper": 50_000_000}
    assert essential["would_be_micros"] == 100_000_000
    assert essential["was_micros"] == 3 * PRICE
    assert essential["difference_micros"] == 100_000_000 - 3 * PRICE
    contract = get(api, f"what-if?plan=enterprise&{APRIL}&price_micros=300000&included=1&fee_micros=7")
    (line,) = contract["lines"]
    assert (line["units"], line["included_units"], line["units_micros"]) == (sessions, 1, (sessions - 1) * 300_000)
    assert contract["would_be_micros"] == (sessions - 1) * 300_000 + 7
    standard = get(api, f"what-if?plan=standard&{HALF_YEAR}")
    assert standard["would_be_micros"] == sum(line["units"] for line in standard["lines"]) * PRICE


def test_included_units_are_the_first_of_each_app_and_term_and_prices_are_dated() -> None:
    """P1, P4; an oracle by hand: 250 included a month, then 0.20, from March 0.30."""
    plan = load_catalog().plan("essential")
    march = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * 1_000_000
    dearer = replace_price(plan, march)
    days = Days(date(2026, 1, 1), date(2026, 3, 31), ZoneInfo("UTC"))
    rows = [
        ("a", date(2026, 1, 1), 1, 300), ("a", date(2026, 2, 1), 1, 200), ("a", date(2026, 3, 1), 2, 260),
        ("b", date(2026, 3, 1), 2, 250),
    ]  # fmt: skip
    since = sorted({price.from_us for price in dearer.prices})
    lines = priced(rows, Terms(dearer), days, since)
    assert [(x.app, x.since.month, x.charged_units, x.units_micros) for x in lines] == [
        ("a", 1, 50, 50 * PRICE), ("a", 2, 0, 0), ("a", 3, 10, 10 * 300_000), ("b", 3, 0, 0),
    ]  # fmt: skip
    (a, b) = priced(rows, Terms(dearer, "yearly"), days, since)
    assert (a.units, a.included_units, a.charged_units, a.fee_micros) == (760, 760, 0, 500_000_000)
    assert b.included_units == 250


def replace_price(plan: Any, from_us: int) -> Any:
    price = next(price for price in plan.prices if price.unit == "conversation")
    dearer = price.model_copy(update={"from_us": from_us, "amount_micros": 300_000})
    return plan.model_copy(update={"prices": (*plan.prices, dearer)})


@pytest.mark.parametrize(
    ("path", "field", "rule"),
    [
        ("statement?first=2025-01-01&last=2026-01-01", "last", "T3"),
        ("statement?months=4", "months", "T3"),
        ("statement?first=2026-01-01", "last", "T3"),
        ("statement?zone=Moon", "zone", "T2"),
        ("statement?format=xml", "format", ""),
        ("trend?format=pdf", "format", ""),
        ("what-if", "plan", "P1"),
        ("what-if?plan=trial", "plan", "P1"),
        ("what-if?plan=enterprise", "price_micros", "P3"),
        ("what-if?plan=standard&price_micros=1", "price_micros", "P1"),
        ("what-if?plan=essential&period=weekly", "period", "P4"),
        ("exports/trend?first=2026-01-01&last=2026-04-01", "last", "T2"),
        ("exports/trend?grain=week&first=2025-01-01&last=2026-01-01", "last", "T4"),
        ("exports/ledger?first=2026-04-02&last=2026-04-01", "first", "T3"),
        ("exports/ledger?format=csv", "format", ""),
    ],
)
def test_t7_what_breaks_a_rule_is_an_error_that_names_it(api: httpx.Client, path: str, field: str, rule: str) -> None:
    answer = api.get(f"{ACME}/{path}")
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["field"] in (field, "first", "last")
    assert rule in problem["rule"] + problem["error"]


def test_exports_are_what_the_views_say(api: httpx.Client, world: Client) -> None:
    answer = api.get(f"{ACME}/exports/trend?{APRIL}&zone=Europe/Berlin")
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    table = pyarrow.parquet.read_table(io.BytesIO(answer.content))
    assert sum(table["micros"].to_pylist()) == sum(
        point["micros"] for point in get(api, f"trend?{APRIL}&zone=Europe/Berlin")
    )
    assert set(table["paid_from"].to_pylist()) <= {b"free", b"paid", b"due", "free", "paid", "due"}
    answer = api.get(f"{ACME}/exports/ledger?{APRIL}&format=arrow")
    lines = pyarrow.ipc.open_stream(answer.content).read_all()
    query = "SELECT count(), sum(amount_micros) FROM ledger_lines WHERE time >= '2026-04-01'"
    assert (lines.num_rows, sum(lines["amount_micros"].to_pylist())) == world.query(query).first_row
    assert world.query(query).first_row[1] == 0
    charges = pyarrow.parquet.read_table(io.BytesIO(api.get(f"{ACME}/exports/charges?{APRIL}").content))
    assert sum(charges["micros"].to_pylist()) == get(api, f"statement?{APRIL}")["charged_micros"]
    assert api.get(f"{ACME}/exports/secrets?{APRIL}").status_code == 404


CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
HEALTH = list(HealthCheck)
SCHEMA = schemathesis.openapi.from_dict(document(OPERATIONS))
MANY = settings(max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=HEALTH)
FEW = settings(MANY, max_examples=5)
THERE = {"workspace": "acme", "sequence": "1", "what": "charges"}
ASKED = {"first": "2026-04-01", "last": "2026-04-30", "at": "2026-04-03T00:00:00Z", "plan": "essential", "by": "app"}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_no_request_is_answered_with_a_fault_or_in_a_way_the_document_does_not_tell(
    api: httpx.Client, world: Client, operation: Operation
) -> None:
    """Requests made up from the document, those that break it too: never a 5xx, nor an answer it does not tell of.

    Those that ask for what is there are answered with it.
    """
    unit = world.query("SELECT any(unit_id) FROM ledger_charges WHERE workspace = 'acme'").first_row[0]
    known = {parameter.name for parameter in operation.parameters}
    steered: Counter[int] = Counter()
    made_up = SCHEMA[operation.path]["GET"]

    @FEW
    @given(case=made_up.as_strategy(generation_mode=GenerationMode.POSITIVE))
    def ask_for_what_is_there(case: Any) -> None:
        case.path_parameters = {name: {**THERE, "unit_id": unit}[name] for name in case.path_parameters}
        kept = {name: value for name, value in case.query.items() if name in ("grain", "format", "limit")}
        case.query = {**kept, **{name: value for name, value in ASKED.items() if name in known}}
        steered[case.call_and_validate(base_url=str(api.base_url), checks=CHECKS).status_code] += 1

    ask_for_what_is_there()
    assert set(steered) == {200}, steered
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

        @MANY
        @given(case=made_up.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            case.call_and_validate(base_url=str(api.base_url), checks=CHECKS)

        try:
            ask()
        except Unsatisfiable:  # nothing to break: there are no parameters
            assert not operation.parameters
