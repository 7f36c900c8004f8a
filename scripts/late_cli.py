"""`quarterhour late`: events that came later than allowed (U6), and billing some of them after all."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import asdict
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from projections.late import Late, NotAdmissible, admission, closed_until, found, late_events
from schemas.commands import AdmitLate
from schemas.ledger import LedgerRecord
from schemas.settings import Settings
from scripts import commands
from scripts.account_client import AccountClient, show_answer
from scripts.drain import reach
from scripts.late_preview import foreseen, summary, units_table

late = typer.Typer(
    no_args_is_help=True,
    help="Events that came later than allowed: list them, bill some after all.\n\nExample: quarterhour late list acme",
)


@late.command("list")
def list_late(
    workspace: Annotated[str, typer.Argument(help="only of this workspace")] = "",
    limit: Annotated[int, typer.Option(min=1, help="at most so many, the newest")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
) -> None:
    """List late events, the newest last, and who admitted them.

    Example: quarterhour late list acme --limit 20
    """
    console = Console()

    async def wanted() -> list[Late]:
        async with commands.kept_clickhouse(Settings(), console) as client:
            return late_events(client, workspace, limit=limit)

    events = asyncio.run(wanted())
    if as_json:
        for event in events:
            print(json.dumps(asdict(event), default=str))
        return
    table = Table(Column("name", no_wrap=True), "time", "workspace", "app", "channel", "user", "event", "admitted by")
    for event in events:
        who = (event.workspace, event.app, event.channel, event.user)
        table.add_row(event.name, f"{event.time:%Y-%m-%d %H:%M:%S}", *map(escape, (*who, event.id, event.admitted)))
    console.print(table)


@late.command()
def admit(
    names: Annotated[list[str], typer.Argument(metavar="EVENT...", help="names as `late list` shows them, or ids")],
    reason: Annotated[str, typer.Option(help="why they are billed after all: stands in the ledger", max=256)],
    workspace: Annotated[str, typer.Option(help="whose events, where ids are given")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="bill them; without it, only what would change is shown")] = False,
) -> None:
    """Show what late events of one user would do to the billed units; with --yes, bill it.

    Their conversations are counted anew from the raw events. Units that come are priced by the plan in force at their
    start; what units cost that are joined to others goes back to the credit that paid. Credit that has lapsed pays for
    none, and what goes back to it lapses at once.

    Example: quarterhour late admit interactions-0-17 --reason "the gateway was down" --yes
    """
    if not reason:
        raise typer.BadParameter("--reason says why, in at least one character")
    console, settings = Console(), commands.running(Settings())

    async def worked_out() -> tuple[str, AdmitLate, str, LedgerRecord | None]:
        async with commands.kept_clickhouse(settings, console) as client:
            closed_us = closed_until(client)
            with console.status("waiting until everything published is loaded"):
                await reach(settings)
            events = found(client, names, workspace)
            body = admission(client, events, reason, commands.spans_of(settings), closed_us)
        whose, key = events[0].workspace, f"late-{hashlib.sha256(msgspec.json.encode(body)).hexdigest()[:32]}"
        return whose, body, key, await foreseen(settings, whose, body, key)

    whose, body, key, record = asyncio.run(worked_out())
    if record is not None and record.kind == "command_refused":
        raise NotAdmissible(record.note)
    console.print(units_table(whose, body, record))
    for line in [] if record is None else summary(record):
        console.print(line, markup=False, highlight=False)
    if not body.units:
        console.print("no unit changes: the event is counted, and nothing charged")
    if not yes:
        console.print("nothing is billed yet; the same with --yes bills it")
        return
    fields: dict[str, Any] = msgspec.to_builtins(body)
    del fields["kind"]
    answer = AccountClient(settings).give(whose, "admit_late", fields, key)
    show_answer(console, answer, whose, key)
    raise typer.Exit(answer.exit_code)


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(late, name="late")
