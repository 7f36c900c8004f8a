"""`quarterhour account simulate`: the documented format, its example, and what is said of a file that is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from schemas.commands import decode_inbox
from schemas.ledger import decode_ledger, is_intact
from schemas.topics import INBOX, LEDGER
from scripts.account_cli import app
from scripts.account_simulate import BadStory, main, records, simulate, usd_text

DOCUMENT = Path(__file__).parents[2] / "streams/accounts/SIMULATE.md"


def example() -> dict[str, Any]:
    """The example of the documentation."""
    found = re.search(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    document: dict[str, Any] = json.loads(found[1])
    return document


def test_the_documented_example_comes_out_as_the_documentation_says(tmp_path: Path) -> None:
    story = tmp_path / "story.json"
    story.write_text(json.dumps(example()))
    result = CliRunner().invoke(app, ["simulate", str(story)])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.output)
    assert answer == simulate(example()), "pure"
    assert [record["kind"] for record in answer["ledger"]][:7] == [
        "workspace_created", "app_changed", "app_changed", "charge", "plan_changed", "payment_settled", "charge"
    ]  # fmt: skip
    account = answer["accounts"]["acme"]
    assert account["balances"] == {
        "free_usd": "0.00", "paid_shared_usd": "100.00", "paid_apps_usd": "0.00", "due_usd": "0.00",
        "available_usd": "100.00",
    }  # fmt: skip
    lapse = next(record for record in answer["ledger"] if record["kind"] == "lapse")
    assert lapse["lines"][0] == {"account": "lapsed", "amount_usd": "499.80", "balance_usd": "499.80"}
    assert answer["ledger"][6]["charges"][0]["covered"] == "included"
    assert (account["people"], account["products"]["search_ai"]) == ({"olga": "owner"}, "contact_us")
    assert "free_credit_lapsed" in {alert["kind"] for alert in answer["alerts"]}


def _step(**step: Any) -> dict[str, Any]:
    return {"steps": [step]}


AT = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({}, "steps is no list"),
        ({"steps": [], "colour": 1}, "colour is not known"),
        (_step(at=AT), "step 0: it must hold exactly one of command, unit"),
        (_step(tick=True), "step 0: at is missing"),
        (_step(tick=True, at="2026-01-01T00:00:00"), "step 0: .* time zone"),
        (_step(tick=True, at=AT, app="x"), "step 0: app is not known of a tick"),
        (_step(unit="conversation", at=AT, app="bot"), "step 0: id is missing"),
        (_step(unit="chat", at=AT, app="bot", id="u"), "step 0: Invalid enum value 'chat'"),
        (_step(command="add_funds", at=AT, amount_usd="1"), 'step 0: by: it must be "role:name"'),
        (_step(command="add_funds", at=AT, by="system:x", amount_usd=1.5), "step 0: .*never a binary float"),
        (_step(command="fly", at=AT, by="system:x"), "step 0: Invalid value 'fly'"),
        (_step(tick=True, at="yesterday"), "step 0: at: yesterday is no instant as RFC 3339 text with a time zone"),
        (_step(tick=True, at=5), "step 0: at: 5 is no instant"),
        (_step(command="add_funds", at=AT, by="system:x", amount_usd="-1"), "step 0: amount_usd: .* not negative"),
        (
            _step(command="publish_app", at=AT, by="system:x", app="a", when=1),
            "step 0: when is not known of publish_app",
        ),
        (
            _step(command="approve_upgrade", at=AT, by="operator:x", contract={"allowed": 1}),
            "step 0: contract.allowed is not known of approve_upgrade",
        ),
        ({"steps": [], "catalog": 5}, "document: catalog: 5 is no path"),
        *(
            ({"steps": [], "allowed_lateness_seconds": late}, f"document: allowed_lateness_seconds: {late} is not")
            for late in ("a day", -5, None, 10**9)
        ),
    ],
)
def test_a_document_that_is_wrong_is_refused_with_the_step_and_the_mistake(document: dict[str, Any], why: str) -> None:
    with pytest.raises(BadStory, match=why):
        simulate(document)


def test_a_refused_command_is_part_of_the_answer_and_a_bad_file_of_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """W3."""
    answer = simulate(_step(command="grant_credit", at=AT, by="operator:root", amount_usd="5", reason="x"))
    assert answer["ledger"][0]["note"] == "workspace: workspace does not exist; it must be created first (W1)."
    bad = tmp_path / "bad.json"
    bad.write_text("[]")
    assert (main([str(bad)]), main([])) == (1, 2)
    assert "it is no JSON object" in capsys.readouterr().err


@pytest.mark.parametrize(("micros", "text"), [(0, "0.00"), (200_000, "0.20"), (-1, "-0.000001"), (None, None)])
def test_amounts_are_exact(micros: int | None, text: str | None) -> None:
    """C7."""
    assert usd_text(micros) == text


def test_the_records_of_a_story_are_those_of_the_topics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As samples have them: each is read by its contract, and the ledger's are intact (L2)."""
    steps = [
        {"command": "create_workspace", "at": "2026-01-01T00:00:00Z", "by": "system:signup", "owner": "olga"},
        {"unit": "conversation", "at": "2026-01-01T09:00:00Z", "id": "u1", "app": "bot"},
    ]
    found = list(records({"workspace": "acme", "steps": steps}))
    assert [type(decode_inbox(value)).__name__ for topic, value in found if topic == INBOX] == ["Command", "Unit"]
    ledger = [decode_ledger(value) for topic, value in found if topic == LEDGER]
    assert [record.kind for record in ledger] == ["workspace_created", "charge"]
    assert all(is_intact(record) for record in ledger)
    story = tmp_path / "story.json"
    story.write_text(json.dumps({"workspace": "acme", "steps": steps}))
    assert main([str(story)], as_records=True) == 0
    assert capsys.readouterr().out.splitlines() == [f"{topic} {value.decode()}" for topic, value in found]
