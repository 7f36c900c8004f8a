"""Forms of the page: which are offered to whom, what a filled-in form becomes, and what is told of it (W2, W3)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec
import pytest

from projections.membership import Standing
from projections.web.account_api import AccountApi
from projections.web.actions import ACTIONS, KNOWN_KINDS, action_of, offered
from projections.web.application import application
from projections.web.database import Database
from projections.web.filled import Unreadable, command_fields
from projections.web.gate import COOKIE
from schemas.catalog import load_catalog
from schemas.commands import CommandBody
from schemas.settings import Settings
from tests.projections.serving import serving
from tests.projections.test_admission import KEY, token

OPERATOR, OWNER = Standing("operator"), Standing("owner")
ANTON = Standing("member", owns=frozenset({"shop"}))


@pytest.mark.parametrize(
    ("page", "app", "who", "offers", "never"),
    [
        ("credit", "", OPERATOR, {"add_funds", "grant_credit", "move_credit", "set_alerts"}, {"request_funds"}),
        ("credit", "", OWNER, {"move_credit", "set_auto_payment"}, {"add_funds", "grant_credit", "settle_payment"}),
        ("credit", "", ANTON, set(), {"move_credit", "add_funds", "set_alerts"}),
        ("plan", "", OPERATOR, {"approve_upgrade", "decline_upgrade", "assign_licence"}, {"request_upgrade"}),
        ("plan", "", OWNER, {"request_upgrade", "subscribe_support"}, {"approve_upgrade", "assign_licence"}),
        ("people", "", OWNER, {"invite_user", "assign_role", "remove_user"}, {"accept_invitation"}),
        ("people", "", Standing("invited"), {"accept_invitation"}, {"invite_user"}),
        ("people", "", ANTON, set(), {"invite_user", "assign_role"}),
        ("app", "shop", ANTON, {"publish_app", "transfer_app", "invite_collaborator", "subscribe"}, {"add_funds"}),
        ("app", "lab", ANTON, set(), {"publish_app", "transfer_app"}),
        ("app", "shop", Standing("member", works_on=frozenset({"shop"})), set(), {"publish_app", "request_upgrade"}),
        ("app", "shop", Standing("stranger"), set(), {"publish_app"}),
    ],
)
def test_w2_only_forms_that_the_role_may_use_are_offered(
    page: str, app: str, who: Standing, offers: set[str], never: set[str]
) -> None:
    found = {action.kind for action in offered(page, who, app)}
    assert offers <= found
    assert not never & found


@pytest.mark.parametrize("action", [a for a in ACTIONS if a.kind in KNOWN_KINDS], ids=lambda a: f"{a.page}-{a.kind}")
def test_every_form_makes_a_command_of_the_contract(action: Any) -> None:
    samples = {"usd": "100", "number": "2", "usd_list": "100, 50", "number_list": "20", "email": "a@example.com"}
    form = {f.name: samples.get(f.kind, "some") for f in action.fields}
    for one in action.fields:
        if one.kind == "choice" and not isinstance(one.choices, str):
            form[one.name] = one.choices[0][0]
    fields = command_fields(action, form)
    fields.pop("workspace", None)
    body: Any = msgspec.convert({**fields, "kind": action.kind}, CommandBody)
    known = {one.encode_name for one in msgspec.structs.fields(body)}
    assert set(fields) <= known


@pytest.mark.parametrize(
    ("text", "micros"),
    [("100", 100_000_000), ("99.50", 99_500_000), ("$1,234.56", 1_234_560_000), ("0.000001", 1), (".5", 500_000)],
)
def test_c7_amounts_are_read_exactly(text: str, micros: int) -> None:
    action = action_of("credit", "grant_credit")
    assert action is not None
    assert command_fields(action, {"amount_micros": text, "reason": "x"})["amount_micros"] == micros


@pytest.mark.parametrize("text", ["", "x", "-5", "1e3", "0.0000001", "1,5", "NaN", "١", "9" * 30, "."])
def test_c7_what_is_no_amount_is_a_sentence(text: str) -> None:
    action = action_of("credit", "grant_credit")
    assert action is not None
    with pytest.raises(Unreadable, match="Amount"):
        command_fields(action, {"amount_micros": text, "reason": "x"})


def test_lists_of_amounts_may_be_empty_or_have_thousands() -> None:
    action = action_of("credit", "set_alerts")
    assert action is not None
    fields = command_fields(action, {"amounts_micros": "1,000, 50", "percents": ""})
    assert fields == {"amounts_micros": [1_000_000_000, 50_000_000], "percents": []}


@dataclass
class Counter:
    """An account API that answers as it is told, and keeps what it was asked."""

    status: int = 200
    content: dict[str, Any] = field(default_factory=lambda: {"outcome": "accepted", "sequence": 7})
    asked: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.status == 0:
            raise httpx.ConnectError("away", request=request)
        return httpx.Response(self.status, json=self.content)


@pytest.fixture(scope="module")
def served(people_database: tuple[str, Any]) -> Iterator[tuple[str, Counter]]:
    counter = Counter()
    api = AccountApi("http://accounts.example/", httpx.MockTransport(counter))
    app = application(Database(people_database[0]), load_catalog(), Settings(signing_key=KEY, accounts_url="x"), api)
    with serving(app) as address:
        yield address, counter


@pytest.fixture
def counter(served: tuple[str, Counter]) -> Counter:
    served[1].status, served[1].content = 200, {"outcome": "accepted", "sequence": 7}
    served[1].asked.clear()
    return served[1]


@pytest.fixture
def olga(served: tuple[str, Counter]) -> Iterator[httpx.Client]:
    headers = {"Origin": served[0]}
    with httpx.Client(base_url=served[0], cookies={COOKIE: token("olga")}, headers=headers, timeout=30) as client:
        yield client


FUNDS = {"page": "credit", "of": "", "key": "page-1", "amount_micros": "150", "payment_id": "wire-9", "app": ""}


def test_a_form_becomes_a_command_under_its_key_with_the_persons_token(olga: httpx.Client, counter: Counter) -> None:
    reply = olga.post("/workspaces/acme/actions/add_funds", data=FUNDS)
    assert reply.status_code == 303
    (asked,) = counter.asked
    assert asked.url.path == "/v1/workspaces/acme/commands/add_funds"
    assert asked.headers["idempotency-key"] == "page-1"
    assert asked.headers["authorization"] == f"Bearer {olga.cookies[COOKIE]}"
    assert msgspec.json.decode(asked.content) == {"amount_micros": 150_000_000, "payment_id": "wire-9"}
    page = olga.get(reply.headers["location"])
    assert "Done, in ledger record 7." in page.text
    assert counter.asked[-1].url.path == "/v1/workspaces/acme/answers/page-1"


def test_every_form_that_is_shown_has_a_key_of_its_own(olga: httpx.Client, counter: Counter) -> None:
    keys = re.findall(r'name="key" value="([^"]+)"', olga.get("/workspaces/acme/credit").text)
    assert len(keys) == len(set(keys)) >= 4


def test_a_refusal_is_shown_as_its_sentence_with_the_form_as_filled_in(olga: httpx.Client, counter: Counter) -> None:
    sentence = "amount_micros: 150 is below the least top-up (C4)."
    counter.status, counter.content = 422, {"outcome": "refused", "error": sentence}
    reply = olga.post("/workspaces/acme/actions/add_funds", data=FUNDS)
    assert reply.status_code == 422
    assert sentence in reply.text
    assert 'value="wire-9"' in reply.text
    assert 'value="page-1"' not in reply.text  # other content needs another key


def test_what_is_not_confirmed_yet_can_be_looked_at_again(olga: httpx.Client, counter: Counter) -> None:
    counter.status, counter.content = 202, {"outcome": "pending", "message": "..."}
    reply = olga.post("/workspaces/acme/actions/add_funds", data=FUNDS)
    page = olga.get(reply.headers["location"]).text
    assert "Accepted, not yet confirmed." in page
    assert "Look again" in page


@pytest.mark.parametrize("status", [0, 503])
def test_while_the_account_api_is_away_the_form_keeps_its_key(
    olga: httpx.Client, counter: Counter, status: int
) -> None:
    counter.status, counter.content = status, {"error": "Kafka does not answer."}
    reply = olga.post("/workspaces/acme/actions/add_funds", data=FUNDS)
    assert reply.status_code == 503
    assert "it counts once" in reply.text
    assert 'value="page-1"' in reply.text


def test_a_form_from_elsewhere_is_refused_and_gives_no_command(olga: httpx.Client, counter: Counter) -> None:
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Origin": ""},
    ):
        assert olga.post("/workspaces/acme/actions/add_funds", data=FUNDS, headers=headers).status_code == 403
    assert counter.asked == []


@pytest.mark.parametrize("wrong", [{"page": "none"}, {"page": "plan"}, {"key": ""}, {"key": "a/../b"}])
def test_a_form_that_is_none_of_ours_is_refused(olga: httpx.Client, counter: Counter, wrong: dict[str, str]) -> None:
    assert olga.post("/workspaces/acme/actions/add_funds", data={**FUNDS, **wrong}).status_code == 400
    assert counter.asked == []


def test_an_amount_that_cannot_be_read_is_told_next_to_the_form(olga: httpx.Client, counter: Counter) -> None:
    reply = olga.post("/workspaces/acme/actions/add_funds", data={**FUNDS, "amount_micros": "much"})
    assert reply.status_code == 422
    assert "is no amount of US dollars" in reply.text
    assert counter.asked == []
