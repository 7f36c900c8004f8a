"""The contract: topics, routing, catalog, settings, schemas, and what the README says of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from schemas.__main__ import main as export_main
from schemas.catalog import DEFAULT_CATALOG, load_catalog, micros_of_usd
from schemas.commands import Actor, AddFunds, Command, decode_inbox
from schemas.errors import ConfigurationError, InvalidRecord
from schemas.export import json_schemas
from schemas.headers import RECORD_HEADERS
from schemas.instants import datetime_of, micros_of
from schemas.ledger import GENESIS_HASH, Balances, LedgerRecord, Line, decode_ledger, encode_ledger, is_intact, seal
from schemas.routing import interaction_key, partition_of
from schemas.settings import Settings
from schemas.topics import topic_table
from schemas.units import Origin

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
RULES = (Path(__file__).resolve().parents[2] / "schemas" / "RULES.md").read_text(encoding="utf-8")


@given(key=st.text(max_size=80), partitions=st.integers(1, 64))
def test_keys_go_where_kafkas_default_partitioner_puts_them(key: str, partitions: int) -> None:
    everywhere = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key.encode(), everywhere, everywhere)


def test_a_user_with_slashes_has_a_key_of_its_own() -> None:
    assert interaction_key("w", "a", "c", "x/y") != interaction_key("w", "a", "c/x", "y")[:-1]
    assert interaction_key("w", "a", "c", "x/y") == "w/a/c/x/y"


@given(micros=st.integers(0, 4_102_444_800_000_000))
def test_instants_are_exact_both_ways(micros: int) -> None:
    assert micros_of(datetime_of(micros)) == micros


def test_p1_a_price_version_holds_from_its_instant_until_the_next(tmp_path: Path) -> None:
    text = DEFAULT_CATALOG.read_text(encoding="utf-8")
    text = text.replace(
        'usd = "0.20" },', 'usd = "0.20" },\n  { unit = "conversation", from = "2026-07-01T00:00:00Z", usd = "0.25" },'
    )
    file = tmp_path / "catalog.toml"
    file.write_text(text, encoding="utf-8")
    plan = load_catalog(file).plan("standard")
    change = micros_of(datetime_of(1_782_864_000_000_000))
    assert datetime_of(change).isoformat() == "2026-07-01T00:00:00+00:00"
    assert plan.price_micros("conversation", change - 1) == 200_000
    assert plan.price_micros("conversation", change) == 250_000


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('usd = "0.20"', "usd = 0.20", "never a binary float"),
        ('usd = "0.20"', 'usd = "0.0000001"', "six decimals"),
        ('unit = "alert"', 'unit = "alarm"', "alarm"),
        ("days = 90", "days = 0", "days"),
        ('billing_unit = "conversation"', 'billing_unit = "session"', "bills session but has no price"),
        ("[free_credit]", "[free_credit]\nsurprise = 1", "surprise"),
    ],
)
def test_p1_a_wrong_catalog_is_refused_with_what_is_wrong(old: str, new: str, said: str, tmp_path: Path) -> None:
    text = DEFAULT_CATALOG.read_text(encoding="utf-8")
    assert old in text
    file = tmp_path / "catalog.toml"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=said):
        load_catalog(file)


def test_c1_c2_free_credit_counts_from_creation_or_from_the_policys_release() -> None:
    credit = load_catalog().free_credit
    day = 86_400_000_000
    assert credit.amount_micros == 500_000_000
    assert credit.expires_us(credit.policy_us + 5 * day) == credit.policy_us + 95 * day
    assert credit.expires_us(credit.policy_us - 5000 * day) == credit.policy_us + 90 * day


@pytest.mark.parametrize(("text", "micros"), [("0.20", 200_000), ("500", 500_000_000), ("0.000001", 1), ("0", 0)])
def test_c7_amounts_are_exact(text: str, micros: int) -> None:
    assert micros_of_usd(text) == micros


def test_l2_an_edited_record_is_not_intact() -> None:
    origin = Origin("account.inbox", 0, 1, 0)
    lines = (Line("grant:g", -5, 10), Line("usage:conversation", 5, 5))
    record = seal(LedgerRecord("w", 1, "charge", 7, origin, "u", lines, Balances(10, 0, 0, 0), GENESIS_HASH))
    assert is_intact(decode_ledger(encode_ledger(record)))
    edited = encode_ledger(record).replace(b'"amount_micros":-5', b'"amount_micros":-4')
    assert not is_intact(decode_ledger(edited))


def test_commands_are_bounded_and_refused_with_a_reason() -> None:
    command = Command("c", "w", 1, Actor("operator", "ann"), AddFunds(10**16, "p"))
    import msgspec

    with pytest.raises(InvalidRecord, match="amount_micros"):
        decode_inbox(msgspec.json.encode(command))
    with pytest.raises(InvalidRecord) as caught:
        decode_inbox(b"\xff")
    assert caught.value.reason == "not_json"


def test_the_schemas_are_written_one_file_each(tmp_path: Path) -> None:
    assert export_main([str(tmp_path)]) == 0
    names = [f"{name}.schema.json" for name in json_schemas()]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, "asyncapi.json"])
    interaction = json_schemas()["interaction"]
    assert set(interaction["required"]) == {"specversion", "id", "source", "type", "time"}
    assert export_main([]) == 2


def test_the_readme_lists_the_topics_as_they_are() -> None:
    rows = [f"| `{t.name}` | {t.key} | {t.partitions} | {t.purpose} |" for t in topic_table()]
    section = README.split("## Topics")[1].split("| header |")[0]
    assert [line for line in section.splitlines() if line.startswith("| `")] == rows


def test_the_readme_lists_the_record_headers_as_they_are() -> None:
    rows = [f"| `{h.name}` | {', '.join(f'`{t}`' for t in h.topics)} | {h.purpose} |" for h in RECORD_HEADERS]
    section = README.split("## Topics")[1].split("| header |")[1].split("## ")[0]
    assert [line for line in section.splitlines() if line.startswith("| `")] == rows
    assert {name for header in RECORD_HEADERS for name in header.topics} <= {topic.name for topic in topic_table()}


def test_the_readme_lists_the_settings_as_they_are() -> None:
    rows = []
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        variable = alias if isinstance(alias, str) else f"QUARTERHOUR_{name.upper()}"
        default = "" if field.default in (None, "") else f"`{field.default}`"
        rows.append(f"| `{variable}` | {default} | {field.description} |")
    section = README.split("## Settings")[1].split("## ")[0]
    assert [line for line in section.splitlines() if line.startswith("| `")] == rows


def test_settings_go_to_child_processes_and_come_back_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(kafka_bootstrap_servers="127.0.0.1:9", allowed_lateness_seconds=7, throwaway=True)
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings


def test_settings_that_cannot_be_are_refused_all_at_once_with_name_value_and_what_is_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("QUARTERHOUR_METRICS_PORT", "70000")
    monkeypatch.setenv("QUARTERHOUR_LOG_FORMAT", "xml")
    with pytest.raises(ConfigurationError) as refused:
        Settings()
    assert str(refused.value) == (
        "QUARTERHOUR_METRICS_PORT is '70000': Input should be less than or equal to 65535; "
        "QUARTERHOUR_LOG_FORMAT is 'xml': Input should be 'text' or 'json'"
    )


@pytest.mark.parametrize("rule", ["U1", "U2", "U3", "U6", "U7", "U11", "U12", "C1", "C3", "C5", "C6", "C8", "P1"])
def test_the_rules_page_tells_our_decisions(rule: str) -> None:
    assert f"**{rule}**" in RULES or f"**{rule}," in RULES
