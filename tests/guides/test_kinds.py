"""Who adds a kind of unit or of ledger entry and forgets a step of the guide hears here which file, and which step."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import get_args

from projections.sql import __file__ as sql_module
from schemas.commands import CommandBody
from schemas.ledger import EntryKind
from schemas.plans import BillingUnit
from schemas.topics import INBOX, INTERACTIONS, LEDGER
from schemas.units import ALWAYS_BILLED, UnitKind
from streams.accounts.commanding import RULES
from streams.accounts.permissions import PERMITS
from streams.durable.machine import RawRecord
from streams.metering.meter import MeterPartition
from streams.metering.policy import MeterPolicy
from tests.guides.blocks import GUIDES, ROOT

SAMPLES = "tests/schemas/samples"
SQL = str(Path(sql_module).parent.relative_to(ROOT))
UNITS: tuple[str, ...] = get_args(UnitKind)
ENTRIES: tuple[str, ...] = get_args(EntryKind)
FAR_MS = 4_000_000_000_000


def lines(topic: str) -> list[bytes]:
    """Every sample of a topic."""
    return [
        line for file in sorted((ROOT / SAMPLES).glob(f"*/{topic}.jsonl")) for line in file.read_bytes().splitlines()
    ]


def sampled(topic: str) -> list[dict[str, object]]:
    """The same, decoded, of our own records."""
    return [json.loads(line) for line in lines(topic)]


@cache
def constants(folder: str) -> frozenset[str]:
    """Every text constant in the Python of a folder."""
    return frozenset(
        node.value
        for file in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def quoted(kinds: Iterable[str], file: str) -> set[str]:
    """Those of the kinds that an SQL file names."""
    text = (ROOT / file).read_text(encoding="utf-8")
    return {kind for kind in kinds if f"'{kind}'" in text}


def forgotten(kinds: Iterable[str], done: Iterable[str], words: str) -> list[str]:
    """A sentence for each kind that is not done."""
    return [f"{kind}: {words}" for kind in sorted(set(kinds) - set(done))]


def nothing_is(*forgotten: list[str]) -> None:
    """Fails with every sentence there is."""
    told = [sentence for sentences in forgotten for sentence in sentences]
    assert not told, "\n" + "\n".join(told)


def unit_step(number: int) -> str:
    """Where the guide says it."""
    return f"(contributor guide, Add a unit kind, step {number})"


def entry_step(number: int) -> str:
    """The same for a ledger entry kind."""
    return f"(contributor guide, Add a ledger entry kind, step {number})"


def test_each_unit_kind_is_billed_by_some_plan() -> None:
    billed = (*get_args(BillingUnit), *ALWAYS_BILLED)
    words = "add it to ALWAYS_BILLED in schemas/units.py, or to BillingUnit in schemas/plans.py"
    nothing_is(forgotten(UNITS, billed, f"{words} {unit_step(1)}"))


def test_each_unit_kind_is_opened_by_meter_for_a_sample_event() -> None:
    policy = MeterPolicy(interaction_partitions=1, account_partitions=1)
    outputs = [
        o for line in lines(INTERACTIONS) for o in MeterPartition(0, policy).step([RawRecord(0, FAR_MS, b"", line)])
    ]
    units = [json.loads(output.value or b"") for output in outputs if output.topic == INBOX]
    opened = {unit["kind"] for unit in units if unit.get("change") == "opened"}
    words = f"no event of {SAMPLES}/*/interactions.jsonl opens one: `_count` in streams/metering/meter.py, and a sample"
    nothing_is(forgotten(UNITS, opened, f"{words} {unit_step(2)}"))


def test_each_unit_kind_is_recounted_and_explained_in_sql() -> None:
    known = {
        "reconcile/recounted.sql": UNITS,
        "reconcile/priced.sql": ALWAYS_BILLED,
        "reading/explain_unit_events.sql": ALWAYS_BILLED,
        "reading/explain_event_units.sql": UNITS,
    }
    nothing_is(
        *(
            forgotten(kinds, quoted(kinds, f"{SQL}/{file}"), f"{SQL}/{file} does not know it {unit_step(4)}")
            for file, kinds in known.items()
        )
    )


def test_each_unit_kind_is_counted_for_the_page() -> None:
    migrations = sorted((ROOT / "projections" / "migrations").glob("*.sql"))
    named = {kind for file in migrations for kind in quoted(UNITS, str(file.relative_to(ROOT)))}
    words = "no view counts it: a new file in projections/migrations that replaces `apps`"
    nothing_is(forgotten(UNITS, named, f"{words} {unit_step(5)}"))
    words = "projections/account_parts.py leaves it out of the page's counts"
    nothing_is(forgotten(UNITS, constants("projections"), f"{words} {unit_step(5)}"))


def test_each_unit_kind_has_a_sample_and_tests() -> None:
    kinds = {str(record.get("kind")) for record in sampled(INBOX)}
    nothing_is(forgotten(UNITS, kinds, f"no sample in {SAMPLES}/v1/account.inbox.jsonl {unit_step(6)}"))
    nothing_is(forgotten(UNITS, constants("tests/metering"), f"no test in tests/metering {unit_step(6)}"))


def test_each_ledger_entry_kind_is_posted_by_accounts() -> None:
    words = "nothing in streams/accounts posts it: a `Rule` in one of the `*_orders.py`"
    nothing_is(forgotten(ENTRIES, constants("streams/accounts"), f"{words} {entry_step(3)}"))


def test_each_ledger_entry_kind_has_a_sample() -> None:
    kinds = {str(record["kind"]) for record in sampled(LEDGER)}
    nothing_is(forgotten(ENTRIES, kinds, f"no sample in {SAMPLES}/v1/ledger.jsonl {entry_step(5)}"))


def test_each_command_is_obeyed_permitted_and_has_a_sample() -> None:
    """A ledger entry kind comes with a command."""
    bodies = {body.__name__: body for body in get_args(CommandBody)}
    rules, permits = ({body.__name__ for body in table} for table in (RULES, PERMITS))
    given = {record["body"]["kind"] for record in sampled(INBOX) if isinstance(record.get("body"), dict)}  # type: ignore[index]
    tags = {str(body.__struct_config__.tag) for body in bodies.values()}
    second, histories = (
        (ROOT / f"tests/accounts/{name}.py").read_text(encoding="utf-8") for name in ("naive", "histories")
    )
    by_helpers = {"CreateWorkspace", "GrantCredit"}  # `create` and `credit` of tests/accounts/story.py
    nothing_is(
        forgotten(bodies, rules, f"no `Rule` in streams/accounts/*_orders.py {entry_step(3)}"),
        forgotten(bodies, permits, f"no `Permit` in streams/accounts/permissions.py {entry_step(4)}"),
        forgotten(tags, given, f"no sample in {SAMPLES}/v1/account.inbox.jsonl {entry_step(5)}"),
        forgotten(
            bodies,
            {name for name in bodies if f"c.{name}" in second},
            f"tests/accounts/naive.py, the second model, does not know it {entry_step(6)}",
        ),
        forgotten(
            bodies,
            by_helpers | {name for name in bodies if name in histories},
            f"tests/accounts/histories.py never gives it {entry_step(6)}",
        ),
    )


def test_the_steps_that_are_named_are_the_guides() -> None:
    text = (GUIDES / "contributor.md").read_text(encoding="utf-8")
    for title, steps in (("## Add a ledger entry kind", 6), ("## Add a unit kind", 6)):
        section = text.split(title)[1].split("\n## ")[0]
        assert [line[:2] for line in section.splitlines() if line[:1].isdigit()] == [
            f"{n}." for n in range(1, steps + 1)
        ]
