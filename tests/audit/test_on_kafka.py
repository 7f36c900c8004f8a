"""`quarterhour verify` on a real ledger topic in which something was edited, left out or swapped (L1, L2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from schemas.settings import Settings
from schemas.topics import ACCOUNTS_CHANGELOG, LEDGER
from scripts.cli import app
from streams.audit.ledger import audit_ledger
from streams.durable.changelog import position_output, state_outputs
from streams.durable.machine import Output
from streams.durable.producer import new_producer, produce
from tests.accounts.story import USD, Story, Teller, create, funds
from tests.requests.kafka import a_broker

pytestmark = pytest.mark.stack
Values = list[bytes]


def edited(values: Values) -> Values:
    """One byte of the fourth record: an amount."""
    at = values[3].index(b'"amount_micros":') + len(b'"amount_micros":-')
    values[3] = values[3][:at] + bytes([values[3][at] ^ 1]) + values[3][at + 1 :]
    return values


def swapped(values: Values) -> Values:
    """Two records of one workspace."""
    values[3], values[5] = values[5], values[3]
    return values


CASES: list[tuple[Callable[[Values], Values], list[str]]] = [
    (lambda values: values, []),
    (lambda values: [*values, values[2]], []),
    (edited, ["ledger-2@3: record 2 of globex does not have the hash it carries",
              "ledger-2@5: record 3 of globex follows 1: 1 missing, or out of place"]),
    (lambda values: values[:3] + values[4:], ["ledger-3@4: record 3 of globex follows 1: 1 missing, or out of place"]),
    (lambda values: values[:-1], ["ledger-4: record 5 of acme is missing, with all after 4: ACCOUNTS has posted it"]),
    (swapped, ["ledger-5@3: record 3 of globex follows 1: 1 missing, or out of place"]),
    (lambda values: [], ["ledger-6: record 5 of acme is missing, with all after 0: ACCOUNTS has posted it",
                         "ledger-6: record 4 of globex is missing, with all after 0: ACCOUNTS has posted it"]),
    (lambda values: [*values, b"{}"], ["ledger-7@9: no ledger record: "]),
]  # fmt: skip


def told(partition: int) -> tuple[Values, list[Output]]:
    """The ledger of two workspaces, and ACCOUNTS' state after it."""
    story, teller = Story(partition=partition), Teller()
    story.tell(create(), create(workspace="globex"), funds(100 * USD, "f"))
    story.tell(*(teller.unit(f"u{i}", workspace=("globex", "acme")[i % 2]) for i in range(6)))
    state = state_outputs(ACCOUNTS_CHANGELOG, partition, story.told, story.machine.take_changes())
    position = position_output(ACCOUNTS_CHANGELOG, partition, story.told, story.machine.checkpoint())
    return [output.value or b"" for output in story.outputs if output.topic == LEDGER], [*state, position]


async def test_each_edited_missing_or_swapped_record_is_found_the_last_one_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_broker(tmp_path, len(CASES)) as (_, settings):
        outputs: list[Output] = []
        for partition, (change, _) in enumerate(CASES):
            values, state = told(partition)
            outputs += [Output(LEDGER, partition, b"k", value) for value in change(values)]
            outputs += state
        await published(settings, outputs)
        progress: list[tuple[int, int]] = []
        audit = await audit_ledger(settings, lambda *seen: progress.append(seen))
        found = {p: [str(fault) for fault in audit.faults if fault.partition == p] for p in range(len(CASES))}
        for partition, (_, expected) in enumerate(CASES):
            assert len(found[partition]) == len(expected), found[partition]
            assert all(map(str.startswith, found[partition], expected)), found[partition]
        assert progress[-1] == (audit.records, audit.records)
        assert not audit.is_clean
        assert audit.without_state == ()

        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", settings.kafka_bootstrap_servers)
        monkeypatch.setenv("QUARTERHOUR_ACCOUNT_PARTITIONS", str(len(CASES)))
        result = await asyncio.to_thread(CliRunner().invoke, app, ["verify", "--json"])
        said = json.loads(result.stdout)
        assert (result.exit_code, said["clean"], len(said["faults"])) == (1, False, len(audit.faults))
        assert said["faults"][0] == {
            "partition": 2, "offset": 3, "workspace": "globex", "sequence": 2,
            "what": "does not have the hash it carries",
        }  # fmt: skip
        result = await asyncio.to_thread(CliRunner().invoke, app, ["verify"])
        assert "ledger-3@4: record 3 of globex follows 1: 1 missing, or out of place" in result.output

        monkeypatch.setenv("QUARTERHOUR_ACCOUNT_PARTITIONS", "2")
        result = await asyncio.to_thread(CliRunner().invoke, app, ["verify"])
        assert result.exit_code == 0
        assert "19 records of 4 workspaces: every record is as it was posted" in result.output


async def published(settings: Settings, outputs: list[Output]) -> None:
    """Publish records, acknowledged."""
    producer = new_producer(settings.kafka, "test")
    await producer.start()
    try:
        await produce(producer, outputs)
    finally:
        await producer.stop()
