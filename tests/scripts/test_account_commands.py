"""`quarterhour account <command>` against the account API with the core behind it, over real HTTP."""

from __future__ import annotations

import json
import shlex
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from typer.main import get_command
from typer.testing import CliRunner, Result

from schemas.errors import ConfigurationError
from schemas.signin import Person, person_of
from scripts.account_commands import GIVEN_ELSEWHERE
from scripts.cli import app
from scripts.stack.ports import free_port
from streams.doors.accounts.kinds import KINDS
from tests.doors.counter import KEY, Counter

USD = 10**6
GROUP = get_command(app).commands["account"].commands  # type: ignore[attr-defined]  # typer makes click groups


@pytest.fixture(scope="module")
def counter() -> Iterator[Counter]:
    """An account API that answers on a port of its own."""
    made, port = Counter(), free_port()
    server = uvicorn.Server(uvicorn.Config(made.application(), port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUARTERHOUR_ACCOUNTS_URL", f"http://127.0.0.1:{port}/")
        patch.setenv("QUARTERHOUR_SIGNING_KEY", KEY)
        yield made
    server.should_exit = True
    thread.join()


def account(*arguments: str) -> Result:
    """Run `quarterhour account ...`."""
    return CliRunner().invoke(app, ["account", *arguments])


def test_each_kind_of_command_is_there_and_its_example_is_one_that_the_api_understands(counter: Counter) -> None:
    account("create-workspace", "acme", "--owner", "olga@acme.example")
    for kind in (kind for kind in KINDS if kind not in GIVEN_ELSEWHERE):
        words = str(GROUP[kind.replace("_", "-")].help)
        example = shlex.split(words.split("Example: quarterhour account ")[1])
        told = counter.story.told
        result = account(*example)
        assert counter.story.told == told + 1, f"{example}: {result.output}"
        assert result.exit_code in (0, 1), result.output


def test_an_answer_shows_lines_and_balances_and_the_same_id_counts_once(counter: Counter) -> None:
    account("create-workspace", "shop", "--owner", "olga")
    first = account("add-funds", "shop", "--amount-usd", "150.50", "--payment-id", "w", "--id", "w1")
    assert first.exit_code == 0, first.output
    assert "done: credit_added, ledger record 2 of shop" in first.output
    assert "150.50" in first.output
    again = account("add-funds", "shop", "--amount-usd", "150.50", "--payment-id", "w", "--id", "w1")
    assert "done, as when it was first given: credit_added, ledger record 2 of shop" in again.output
    other = account("add-funds", "shop", "--amount-usd", "151", "--payment-id", "w", "--id", "w1")
    assert (other.exit_code, "was given before with other content" in other.output) == (1, True)
    assert counter.story.account("shop").paid_shared_micros == 150_500_000
    asked = account("answer", "shop", "w1", "--json")
    assert (asked.exit_code, json.loads(asked.stdout)["sequence"]) == (0, 2)


def test_inner_fields_lists_limits_and_instants_are_options(counter: Counter) -> None:
    account("create-workspace", "big", "--owner", "olga")
    contract = account(
        "approve-upgrade", "big", "--price-usd", "500", "--allowed-requests", "1000", "--term", "monthly", "--past",
        "overage", "--overage-usd", "0.50", "--ends-at", "2030-01-01T00:00:00Z", "--rate-limits",
        "requests_per_minute=90", "--json",
    )  # fmt: skip
    (began, *_) = json.loads(contract.stdout)["record"]["changes"]
    assert began["contract"] == {
        "price_micros": 500 * USD, "allowed_requests": 1000, "term": "monthly", "past": "overage",
        "overage_micros": 500_000, "ends_us": 1_893_456_000_000_000, "rate_limits": {"requests_per_minute": 90},
    }  # fmt: skip
    alerts = account("set-alerts", "big", "--amounts-usd", "20", "--amounts-usd", "0.5", "--percents", "10", "--json")
    assert json.loads(alerts.stdout)["record"]["changes"][0]["amounts_micros"] == [20 * USD, 500_000]
    assert json.loads(alerts.stdout)["record"]["changes"][0]["percents"] == [10]


def test_what_is_refused_or_not_confirmed_has_an_exit_code_of_its_own(counter: Counter) -> None:
    refused = account("create-app", "acme", "--app", "x", "--person", "eve")
    assert refused.exit_code == 1
    assert "not done: actor.name: eve is no user of the workspace (W1, W2). (ledger record" in refused.output
    counter.mood = "slow"
    slow = account("grant-credit", "acme", "--amount-usd", "1", "--reason", "sorry", "--id", "s1")
    counter.mood = ""
    assert slow.exit_code == 3
    assert "accepted, not yet confirmed; it counts once" in slow.output
    assert "quarterhour account answer acme s1" in slow.output


def test_a_random_id_is_printed_and_a_wrong_amount_is_an_error_that_names_it(counter: Counter) -> None:
    given = account("grant-credit", "acme", "--amount-usd", "1", "--reason", "sorry")
    assert given.output.startswith("id cli-")
    wrong = account("grant-credit", "acme", "--amount-usd", "1.2345678", "--reason", "sorry")
    assert isinstance(wrong.exception, ConfigurationError)
    assert str(wrong.exception).startswith("--amount-usd '1.2345678': ")


def test_a_command_may_come_from_a_file(counter: Counter, tmp_path: Path) -> None:
    account("create-workspace", "filed", "--owner", "olga")
    file = tmp_path / "command.json"
    file.write_text('{"workspace": "filed", "kind": "grant_credit", "amount_usd": "2.50", "reason": "sorry"}')
    assert json.loads(account("command", str(file), "--json").stdout)["balances"]["free_micros"] == 502_500_000
    for broken in ("{", "[]", '{"kind": "x"}', '{"workspace": "filed", "kind": "grant_credit", "amount_usd": "x"}'):
        file.write_text(broken)
        result = account("command", str(file))
        assert isinstance(result.exception, ConfigurationError)
        assert "wanted is one like" in str(result.exception)


def test_a_token_of_the_command_line_is_read_back_and_acts_as_that_person(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = CliRunner().invoke(app, ["token", "--person", "olga@acme.example", "--days", "2"])
    assert person_of(result.stdout.strip(), KEY) == Person("olga@acme.example", "user")
    operator = CliRunner().invoke(app, ["token", "--person", "op", "--operator"]).stdout.strip()
    assert person_of(operator, KEY) == Person("op", "operator")
    monkeypatch.setenv("QUARTERHOUR_TOKEN", result.stdout.strip())
    made = json.loads(account("create-workspace", "own", "--owner", "olga@acme.example", "--json").stdout)
    assert made["record"]["actor"] == "user:olga@acme.example"


def test_a_missing_api_or_key_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QUARTERHOUR_HOME", str(tmp_path))
    monkeypatch.setenv("QUARTERHOUR_ACCOUNTS_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("QUARTERHOUR_SIGNING_KEY", raising=False)
    assert "start a stack with `quarterhour up`" in str(account("answer", "acme", "x").exception)
    monkeypatch.setenv("QUARTERHOUR_SIGNING_KEY", KEY)
    assert "does not answer" in str(account("answer", "acme", "x").exception)
