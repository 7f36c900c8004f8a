"""`quarterhour topics`, `lag`, `dlq`, `doctor`: how an operator looks after a running system."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from schemas.settings import Settings
from scripts import commands
from scripts.local import CLICKHOUSE, KAFKA
from scripts.operating import letters
from scripts.operating.brokers import topic_states
from scripts.operating.doctor import Verdict, examine
from scripts.operating.lagging import PartitionLag, lags
from scripts.stack.home import Home

dlq = typer.Typer(
    no_args_is_help=True,
    help="All dead letters: records that METER or ACCOUNTS refused, mails and webhook deliveries that were given up. "
    "List them, look at one, put it back or have it tried again.\n\nExample: quarterhour dlq list --limit 20",
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="as `quarterhour dlq list` shows it, e.g. interactions-0-17")]
_COLOURS = {Verdict.GOOD: "green", Verdict.WARNING: "yellow", Verdict.BAD: "red", Verdict.SKIPPED: "dim"}


def topics() -> None:
    """Print every topic as the broker has it, and what is not as the topic table says; exit 1 on a difference.

    Example: quarterhour topics
    """
    console = Console()
    table = Table(Column("topic", no_wrap=True), "key", "partitions", "records", "differences")
    states = asyncio.run(topic_states(_settings()))
    for state in states:
        different = "\n".join(state.differences)
        table.add_row(state.name, state.key, str(state.partitions), f"{state.records:,}", f"[red]{different}[/red]")
    console.print(table)
    raise typer.Exit(1 if any(state.differences for state in states) else 0)


def lag(
    partitions: Annotated[bool, typer.Option("--partitions", help="one row for each partition")] = False,
) -> None:
    """Print how many records METER, ACCOUNTS, MAILER and LOADER still have to read.

    Example: quarterhour lag --partitions
    """
    console = Console()
    table = Table("reader", Column("topic", no_wrap=True), "partition", "position", "end", "lag")
    groups: dict[tuple[str, str], list[PartitionLag]] = defaultdict(list)
    for found in asyncio.run(lags(_settings())):
        groups[found.reader, found.topic].append(found)
    for (reader, topic), members in groups.items():
        if partitions:
            for one in members:
                table.add_row(reader, topic, str(one.partition), f"{one.position:,}", f"{one.end:,}", f"{one.lag:,}")
        else:
            sums = (sum(one.position for one in members), sum(one.end for one in members))
            total = sum(one.lag for one in members)
            table.add_row(reader, topic, f"{len(members)} together", f"{sums[0]:,}", f"{sums[1]:,}", f"{total:,}")
    console.print(table)


def doctor() -> None:
    """Check Python, packages, Java, Maven, memory, disk, ports, clocks and what runs; exit 1 when something is wrong.

    Example: quarterhour doctor
    """
    home = _home()
    findings = asyncio.run(examine(_given_or_running(), home))
    table = Table("check", "", "found", "what to do")
    for finding in findings:
        verdict = f"[{_COLOURS[finding.verdict]}]{finding.verdict}[/]"
        table.add_row(finding.check, verdict, finding.found, finding.advice)
    Console().print(table)
    raise typer.Exit(1 if any(finding.verdict is Verdict.BAD for finding in findings) else 0)


@dlq.command("list")
def list_letters(
    containing: Annotated[str, typer.Option(help="only with this text in the record, e.g. a workspace or an id")] = "",
    reason: Annotated[str | None, typer.Option(help="only with this reason, e.g. missing_field")] = None,
    limit: Annotated[int, typer.Option(min=1, help="at most so many, the newest")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line, with everything known")] = False,
) -> None:
    """List refused records and deliveries given up, the newest last, and count them by reason.

    Example: quarterhour dlq list --reason missing_field --limit 20
    """
    found = asyncio.run(letters.letters(_settings(), containing, reason))
    if as_json:
        for letter in found[-limit:]:
            print(json.dumps({"name": letter.name, **letter.known}))
        return
    table = Table(Column("name", no_wrap=True), Column("reason", no_wrap=True), "what is wrong")
    for letter in found[-limit:]:
        table.add_row(letter.name, letter.reason, escape(letter.what))
    console = Console()
    console.print(table)
    counts = Counter(letter.reason for letter in found)
    reasons = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
    words = f"{len(found):,} refused or given up{': ' if reasons else ''}{reasons}"
    console.print(words, markup=False, highlight=False)


@dlq.command()
def show(name: Name) -> None:
    """Print why a record was refused or a delivery given up, and the whole record.

    Example: quarterhour dlq show interactions-0-17
    """
    console = Console()
    labels, record = asyncio.run(letters.shown(_settings(), name))
    for label, text in labels.items():
        console.print(f"{label:14} {text}", markup=False, highlight=False, soft_wrap=True)
    if record:
        console.print(record, markup=False, highlight=False, soft_wrap=True)


@dlq.command()
def retry(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="as `quarterhour dlq list` shows them")],
    value: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="a corrected record for the one that is named")
    ] = None,
    by: Annotated[str, typer.Option(help="who asks for it")] = "operator",
) -> None:
    """Publish refused records again, as they were or corrected; have deliveries tried again that were given up.

    Example: quarterhour dlq retry interactions-0-17 --value corrected.json
    """
    if value is not None and len(names) != 1:
        raise typer.BadParameter(f"--value corrects one record, {len(names)} are named")
    settings, console = _settings(), Console()
    corrected = value.read_bytes() if value is not None else None
    for name in names:
        done = asyncio.run(letters.retry(settings, name, corrected, by, time.time_ns() // 1000))
        console.print(done, markup=False, highlight=False)


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(topics)
    app.command()(lag)
    app.command()(doctor)
    app.add_typer(dlq, name="dlq")


def _home() -> Home:
    settings = Settings()
    return Home(settings.home.expanduser().absolute()) if settings.home else Home.from_environment()


def _settings() -> Settings:
    """The settings with the addresses of the running stack where none are given; ConfigurationError without a Kafka."""
    settings = _given_or_running()
    if not settings.kafka_bootstrap_servers:
        commands.running_address(settings, KAFKA)  # raises, and says what to do
    return settings


def _given_or_running() -> Settings:
    settings = Settings()
    for world in _home().worlds():
        record = world.running()
        if record is not None:
            update = {}
            if not settings.kafka_bootstrap_servers and KAFKA in record.addresses:
                update["kafka_bootstrap_servers"] = record.addresses[KAFKA]
            if not settings.clickhouse_url:
                update["clickhouse_url"] = record.addresses[CLICKHOUSE]
            return settings.model_copy(update=update)
    return settings
