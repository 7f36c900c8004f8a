"""`quarterhour verify`: the ledger topic, checked to the byte, and told to a person or as JSON."""

from __future__ import annotations

import msgspec
import typer
from rich.console import Console

from schemas.settings import Settings
from scripts.commands import progress_on, running_address
from scripts.local import KAFKA
from streams.audit.ledger import Audit, audit_ledger

SHOWN_FAULTS = 100


async def verify(settings: Settings, console: Console, *, json: bool) -> int:
    """Verify the ledger of the settings' Kafka, or of the running stack's; exit code 1 on faults."""
    if not settings.kafka_bootstrap_servers:
        settings = settings.model_copy(update={"kafka_bootstrap_servers": running_address(settings, KAFKA)})
    with progress_on(console) as progress:
        task = progress.add_task("ledger records", total=None)
        audit = await audit_ledger(settings, lambda done, total: progress.update(task, completed=done, total=total))
    if json:
        typer.echo(as_json(audit))
    else:
        show_audit(console, audit)
    return 0 if audit.is_clean else 1


def show_audit(console: Console, audit: Audit) -> None:
    """Print what was found."""
    for fault in audit.faults[:SHOWN_FAULTS]:
        console.print(str(fault), style="red", markup=False, highlight=False, soft_wrap=True)
    left_out = len(audit.faults) - SHOWN_FAULTS + audit.more
    if left_out > 0:
        console.print(f"and {left_out:,} more; --json lists up to 10,000")
    for partition in audit.without_state:
        words = f"ledger-{partition}: ACCOUNTS keeps no state here, so a missing end would not be seen"
        console.print(words, style="yellow")
    found = "every record is as it was posted" if audit.is_clean else f"{len(audit.faults) + audit.more:,} faults"
    console.print(f"{audit.records:,} records of {audit.workspaces:,} workspaces: {found}", highlight=False)


def as_json(audit: Audit) -> str:
    """One object: counts, and each fault with partition, offset, workspace, sequence and what is wrong."""
    content = {
        "records": audit.records, "workspaces": audit.workspaces, "clean": audit.is_clean, "more": audit.more,
        "without_state": audit.without_state, "faults": [fault._asdict() for fault in audit.faults],
    }  # fmt: skip
    return msgspec.json.encode(content).decode()
