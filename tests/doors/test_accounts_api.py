"""The account API: statuses, sign-in, contract errors, idempotency keys; its OpenAPI document says what it does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest

from schemas.signin import Person, issue
from streams.accounts.permissions import PERMITS
from streams.doors.accounts.answers import field_and_rule
from streams.doors.accounts.asked import MAX_BODY_BYTES
from streams.doors.accounts.kinds import KINDS
from streams.doors.accounts.openapi import document
from tests.doors.counter import KEY, Client, Counter

NOW = datetime.now(UTC)
USD = 10**6


def bearer(name: str, role: Literal["operator", "user"] = "user", days: int = 1) -> str:
    """An Authorization header."""
    return "Bearer " + issue(Person(name, role), KEY, NOW, timedelta(days=days))


class Teller:
    """A client that speaks for one person at a time."""

    def __init__(self) -> None:
        self.counter = Counter()
        self.client = Client(self.counter.application())

    def give(
        self, kind: str, key: str, body: Any, who: str = "olga", role: Literal["operator", "user"] = "user"
    ) -> Any:
        """POST a command; the answer."""
        headers = {"Authorization": bearer(who, role), "Idempotency-Key": key}
        return self.client.post(f"/v1/workspaces/acme/commands/{kind}", json=body, headers=headers)


@pytest.fixture
def teller() -> Teller:
    """Olga has created acme."""
    made = Teller()
    assert made.give("create_workspace", "c", {"owner": "olga"}).status_code == 200
    return made


def test_a_command_is_answered_with_its_ledger_record_and_the_balances_after_it(teller: Teller) -> None:
    answer = teller.give("grant_credit", "g", {"amount_micros": 5 * USD, "reason": "goodwill"}, "op", "operator")
    said = answer.json()
    assert (answer.status_code, said["outcome"], said["repeated"], said["sequence"]) == (200, "accepted", False, 2)
    assert said["balances"]["free_micros"] == 505 * USD
    assert (said["record"]["kind"], said["record"]["actor"]) == ("credit_added", "operator:op")
    assert [line["amount_micros"] for line in said["record"]["lines"]] == [-5 * USD, 5 * USD]


def test_the_same_again_is_answered_the_same_and_counts_once_other_content_is_told_apart(teller: Teller) -> None:
    """Law 3: also when the first one's answer came too late."""
    teller.counter.mood = "slow"
    body = {"app": "bot"}
    first = teller.give("create_app", "k", body)
    assert (first.status_code, first.json()["outcome"], first.headers["Retry-After"]) == (202, "pending", "1")
    ask = first.headers["Location"]
    assert ask == first.json()["ask"] == "/v1/workspaces/acme/answers/k"
    signed_in = {"Authorization": bearer("olga")}
    assert teller.client.get(ask, headers=signed_in).status_code == 202
    teller.counter.mood = ""
    again, more = teller.give("create_app", "k", body), teller.give("create_app", "k", body)
    assert [answer.status_code for answer in (again, more)] == [200, 200]
    assert again.json() == more.json()
    assert (again.json()["repeated"], again.json()["sequence"]) == (True, 2)
    assert teller.client.get(ask, headers=signed_in).json() == again.json()
    other = teller.give("create_app", "k", {"app": "other"})
    assert (other.status_code, other.json()["outcome"], other.json()["field"]) == (409, "conflict", "command_id")
    assert teller.client.get(ask, headers=signed_in).json() == again.json(), "the first stands"
    assert list(teller.counter.story.account().apps) == ["bot"]


@pytest.mark.parametrize(
    ("kind", "body", "who", "status", "expected"),
    [
        ("publish_app", {"app": "ghost"}, "olga", 422, ("app", "ghost", "W1")),
        ("move_credit", {"amount_micros": 1, "to_app": "x"}, "olga", 422, ("amount_micros", "1", "C4")),
        ("subscribe", {"app": "ghost", "plan": "essential", "period": "monthly"}, "olga", 422, ("app", "ghost", "W1")),
        ("grant_credit", {"amount_micros": 1, "reason": "me"}, "olga", 403, ("actor.name", "olga", "W2, W3")),
        ("add_funds", {"amount_micros": 100 * USD, "payment_id": "p"}, "olga", 403, ("actor.name", "olga", "W2, W3")),
        ("create_app", {"app": "x"}, "eve", 403, ("actor.name", "eve", "W1, W2")),
    ],
)  # fmt: skip
def test_a_refusal_names_field_value_and_rule_and_is_in_the_ledger(
    teller: Teller, kind: str, body: Any, who: str, status: int, expected: tuple[str, str, str]
) -> None:
    answer = teller.give(kind, "r", body, who)
    said = answer.json()
    assert (answer.status_code, (said["field"], said["value"], said["rule"])) == (status, expected)
    assert said["error"] == said["record"]["note"] == teller.counter.story.ledger[-1].note
    assert said["record"]["actor"] == f"user:{who}"


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        ({"amount_micros": "1", "payment_id": "p"}, "amount_micros", "1"),
        ({"amount_micros": 0, "payment_id": "p"}, "amount_micros", "0"),
        ({"amount_micros": 1.5, "payment_id": "p"}, "amount_micros", "1.5"),
        ({"amount_micros": 1}, "payment_id", ""),
        ({"amount_micros": 1, "payment_id": ""}, "payment_id", ""),
        ({"amount_micros": 1, "payment_id": "p", "apps": "x"}, "apps", ""),
        ({"amount_micros": 1, "payment_id": "p", "app": "a/b"}, "app", "a/b"),
        ({"amount_micros": 1, "payment_id": "p", "kind": "create_workspace"}, "kind", ""),
        ([], "", "[]"),
        ("words", "", "words"),
    ],
)
def test_a_body_that_breaks_the_contract_goes_no_further(teller: Teller, body: Any, field: str, value: str) -> None:
    told = teller.counter.story.told
    answer = teller.give("add_funds", "b", body, "op", "operator")
    assert (answer.status_code, answer.json().get("field", ""), answer.json().get("value", "")) == (400, field, value)
    assert answer.json()["error"] and answer.json()["rule"]
    assert teller.counter.story.told == told


def test_inner_fields_are_named_with_their_path(teller: Teller) -> None:
    contract = {"price_micros": 1, "allowed_requests": -1, "term": "monthly", "past": "block"}
    for broken, field in (
        (contract, "contract.allowed_requests"), ({**contract, "prize": 1}, "contract.prize"),
        ({**contract, "allowed_requests": 1, "term": "weekly"}, "contract.term"), ({}, "contract.price_micros"),
    ):  # fmt: skip
        answer = teller.give("approve_upgrade", "u", {"contract": broken}, "op", "operator")
        assert (answer.status_code, answer.json()["field"]) == (400, field)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"a":' * 40, b"[" * 10_000, b"NaN"])
def test_a_body_that_is_no_json_is_an_error_and_not_a_crash(teller: Teller, content: bytes) -> None:
    headers = {"Authorization": bearer("op", "operator"), "Idempotency-Key": "x"}
    answer = teller.client.post("/v1/workspaces/acme/commands/add_funds", content=content, headers=headers)
    assert answer.status_code == 400


def test_a_body_that_is_too_large_is_not_read(teller: Teller) -> None:
    headers = {"Authorization": bearer("op", "operator"), "Idempotency-Key": "x"}
    answer = teller.client.post(
        "/v1/workspaces/acme/commands/add_funds", content=b" " * 2 * MAX_BODY_BYTES, headers=headers
    )
    assert (answer.status_code, answer.json()["rule"]) == (413, f"at most {MAX_BODY_BYTES} bytes")


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer x", "Basic b2xnYTpvbGdh", "Bearer " + "x" * 5_000, bearer("olga", days=-1)]
)
def test_nobody_is_answered_without_a_good_token(teller: Teller, header: str | None) -> None:
    headers = {"Idempotency-Key": "k", **({"Authorization": header} if header is not None else {})}
    for answer in (
        teller.client.post("/v1/workspaces/acme/commands/create_app", json={"app": "x"}, headers=headers),
        teller.client.get("/v1/workspaces/acme/answers/c", headers=headers),
    ):
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="quarterhour"')


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 129, "a/b", "-a", "ä".encode().decode("latin-1")])
def test_a_key_is_required_and_must_be_one(teller: Teller, key: str) -> None:
    headers = {"Authorization": bearer("olga"), "Idempotency-Key": key.encode("latin-1")}
    answer = teller.client.post("/v1/workspaces/acme/commands/create_app", json={"app": "x"}, headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (400, "Idempotency-Key")


def test_a_broker_that_is_away_is_said_so(teller: Teller) -> None:
    teller.counter.mood = "away"
    answer = teller.give("create_app", "k", {"app": "x"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert "same key" in answer.json()["error"]
    teller.counter.listening = False
    assert teller.client.get("/ready").status_code == 503
    assert teller.client.get("/health").status_code == 200


def test_others_do_not_hear_of_a_command_but_operators_do(teller: Teller) -> None:
    path = "/v1/workspaces/acme/answers/c"
    codes = {who: teller.client.get(path, headers={"Authorization": token}).status_code for who, token in (
        ("olga", bearer("olga")), ("eve", bearer("eve")), ("op", bearer("op", "operator")))}  # fmt: skip
    assert codes == {"olga": 200, "eve": 404, "op": 200}


def test_what_is_not_there_is_told_as_json_and_metrics_count_by_kind_and_status(teller: Teller) -> None:
    assert teller.client.get("/nothing").json()["error"].startswith("There is nothing at /nothing")
    wrong = teller.client.get("/v1/workspaces/acme/commands/create_app")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    teller.give("create_app", "k", {"app": "ghost"}, "eve")
    text = teller.client.get("/metrics").text
    assert 'quarterhour_commands_total{kind="create_workspace",status="200"} 1.0' in text
    assert 'quarterhour_commands_total{kind="create_app",status="403"} 1.0' in text


def test_every_command_has_a_documented_route_with_its_fields() -> None:
    """W3: none is missing."""
    described = document()
    assert set(KINDS.values()) == set(PERMITS)
    for kind, body in KINDS.items():
        post = described["paths"][f"/v1/workspaces/{{workspace}}/commands/{kind}"]["post"]
        assert post["summary"] and set(post["responses"]) == {
            "200", "202", "400", "401", "403", "409", "413", "422", "503",
        }  # fmt: skip
        schema = described["components"]["schemas"][body.__name__]
        assert set(schema["properties"]) == set(body.__struct_fields__)
        assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("note", "field", "rule"),
    [
        ("app: x does not exist; it must be created first (W1).", "app", "W1"),
        ("actor.role: a (b) c; d may (W2, W3).", "actor.role", "W2, W3"),
        ("command_id: x was given before with other content; the first stands (law 3).", "command_id", "law 3"),
        ("a sentence of another kind", "", ""),
    ],
)
def test_a_refusal_s_sentence_says_its_field_and_rule(note: str, field: str, rule: str) -> None:
    assert field_and_rule(note) == (field, rule)
