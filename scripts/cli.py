"""The command `quarterhour`: one function a command; what they do is in `commands`.

Reports and errors go to stderr where stdout carries data (`--json`, `units`), so that it can be piped.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from aiokafka.errors import KafkaConnectionError
from rich.console import Console

from projections import reconcile as reconciliation
from projections import usage
from projections.balance import BalanceAsOf, balance_as_of
from projections.rebuild import Swap
from schemas.admission import or_refused
from schemas.catalog import DEFAULT_CATALOG, load_catalog
from schemas.errors import ConfigurationError, QuarterhourError
from schemas.settings import Settings
from schemas.signin import Person, issue
from scripts import (
    account_cli,
    backup_cli,
    bench_cli,
    commands,
    explaining,
    keys_cli,
    late_cli,
    mail_cli,
    operating_cli,
    reconciling,
    verify_cli,
)
from scripts.report import table_of
from scripts.stack.home import WorldInUse
from scripts.stack.ports import PortInUse
from scripts.stack.supervisor import ProcessFailed, StopAsked
from scripts.stack.throwaway import ThrowawayUnavailable
from scripts.stack.topics import PartitionsDiffer, TopicRefused

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Metering and billing for conversational-AI platforms. Start with [bold]quarterhour run --once[/bold].",
)

app.add_typer(account_cli.app, name="account")
app.add_typer(bench_cli.app, name="bench")
app.add_typer(keys_cli.app, name="keys")
late_cli.add_to(app)
operating_cli.add_to(app)
backup_cli.add_to(app)
mail_cli.add_to(app)

ANTICIPATED = (
    QuarterhourError,
    WorldInUse,
    PortInUse,
    ProcessFailed,
    ThrowawayUnavailable,
    PartitionsDiffer,
    TopicRefused,
)
"""Errors whose message is all a person needs."""

InputFile = Annotated[
    Path | None,
    typer.Option("--input", exists=True, dir_okay=False, help="a .csv.gz of workspace,user,time_us[,chars][,delay_us]"),
]
Speed = Annotated[
    float | None, typer.Option(min=0.001, help="event time per wall time, e.g. 3600; default: as fast as possible")
]


WorldName = Annotated[
    str | None,
    typer.Option("--world", help="whose data, e.g. `live`; default: the running stack's, else the last used"),
]


class By(StrEnum):
    """How units are counted."""

    USER = "user"
    DAY = "day"


class Format(StrEnum):
    """How a table is written."""

    CSV = "csv"
    TABLE = "table"


@app.command()
def run(
    once: Annotated[bool, typer.Option("--once", help="print the result and exit")] = False,
    input_file: InputFile = None,
    json: Annotated[bool, typer.Option("--json", help="the last line on stdout is one JSON object")] = False,
    speed: Speed = None,
) -> None:
    """Replay an event log (default: a public sample) through the whole pipeline and report.

    Example: quarterhour run --once --input log.csv.gz --json
    """
    console = Console(stderr=json)
    given = commands.read_input(input_file)
    raise typer.Exit(asyncio.run(commands.run(given, Settings(), console, once=once, json=json, speed=speed)))


@app.command()
def up() -> None:
    """Serve the live stack (Kafka, ClickHouse, METER, ACCOUNTS, LOADER, MAILER, clock) until Ctrl-C.

    Example: QUARTERHOUR_KAFKA_PORT=9092 QUARTERHOUR_CLICKHOUSE_PORT=8123 quarterhour up
    """
    raise typer.Exit(asyncio.run(commands.up(Settings(), Console())))


@app.command()
def prepare() -> None:
    """Create topics and tables in the Kafka and ClickHouse of the settings, or check those that are there.

    Example: KAFKA_BOOTSTRAP_SERVERS=kafka:9092 CLICKHOUSE_URL=http://clickhouse:8123/quarterhour quarterhour prepare
    """
    asyncio.run(commands.prepare(Settings(), Console()))


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="a .csv.gz event log")],
    speed: Speed = None,
) -> None:
    """Publish an event log to the running stack, as gateways would.

    Example: quarterhour replay log.csv.gz --speed 3600
    """
    console = Console(stderr=True)
    log = commands.read_input(file).log
    events = asyncio.run(commands.publish(log, Settings(), console, speed))
    console.print(f"{events:,} events published")


@app.command()
def units(
    by: Annotated[By, typer.Option(help="one row for each user, or for each UTC day")] = By.USER,
    output_format: Annotated[Format, typer.Option("--format", help="csv, or a table to look at")] = Format.TABLE,
    world: WorldName = None,
) -> None:
    """Print the units found, per user or per day, from the running stack or from what was kept last.

    Example: quarterhour units --by day --format csv
    """

    async def show() -> None:
        console = Console(stderr=output_format is Format.CSV)
        async with commands.kept_clickhouse(Settings(), console, world) as client:
            row = usage.UserUsage if by is By.USER else usage.DayUsage
            rows = usage.units_by_user(client) if by is By.USER else usage.units_by_day(client)
            if output_format is Format.CSV:
                usage.write_csv(sys.stdout, row, rows)
            else:
                console.print(table_of(row, rows))

    asyncio.run(show())


@app.command()
def reconcile(
    world: WorldName = None,
    every_hours: Annotated[
        int | None, typer.Option(min=1, help="go on for ever, once in so many hours; needs CLICKHOUSE_URL")
    ] = None,
    again_after: Annotated[
        int | None,
        typer.Option(
            min=1, help="of differences, tell those that are the same so many seconds later: for live traffic"
        ),
    ] = None,
) -> None:
    """Recount units from raw events in SQL, price them again, compare with the ledger; exit 1 on any difference.

    What was found is remembered: `/metrics` of the page shows the newest. What is on its way is a difference too, until
    it arrives; beside live traffic use --again-after.

    Example: quarterhour reconcile --again-after 120
    """
    if every_hours is not None:
        reconciling.reconcile_every(every_hours, Settings(), Console(), again_after)

    async def show() -> int:
        settings, console = Settings(), Console()
        async with commands.kept_clickhouse(settings, console, world) as client:
            catalog = load_catalog(settings.catalog or DEFAULT_CATALOG)
            found = reconciling.reconciled(client, settings, catalog, console, again_after)
            console.print(reconciliation.format(found))
            return 0 if found.is_clean else 1

    raise typer.Exit(asyncio.run(show()))


@app.command()
def rebuild(
    swap: Annotated[Swap, typer.Option(help="when the rebuilt tables replace the live ones")] = Swap.IF_SAME,
    fresh: Annotated[bool, typer.Option("--fresh", help="throw away a rebuild that was cut off")] = False,
) -> None:
    """Rebuild ClickHouse from the topics beside the live tables, compare, and swap (L5). A cut-off one goes on.

    Example: quarterhour rebuild --swap never
    """
    raise typer.Exit(asyncio.run(commands.rebuild(Settings(), Console(), swap=swap, fresh=fresh)))


@app.command()
def balance(
    workspace: Annotated[str, typer.Argument(help="whose balance")],
    at: Annotated[str | None, typer.Option(help="RFC 3339 with a time zone; default: now")] = None,
    world: WorldName = None,
) -> None:
    """Print a workspace's balances as of any instant (L4), by the instants postings take effect.

    Example: quarterhour balance acme --at 2026-01-31T00:00:00Z
    """
    try:
        instant = datetime.fromisoformat(at) if at else datetime.now(UTC)
        if instant.tzinfo is None:
            raise ValueError("it has no time zone")
    except ValueError as error:
        raise ConfigurationError(f"--at {at!r} is not RFC 3339 with a time zone: {error}") from None

    async def show() -> None:
        console = Console()
        async with commands.kept_clickhouse(Settings(), console, world) as client:
            found = balance_as_of(client, workspace, instant)
            console.print(table_of(BalanceAsOf, [found]))

    asyncio.run(show())


@app.command()
def verify(
    json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Check the ledger topic to the byte: hashes, chain, numbers, sums, and its end (L1, L2); exit 1 on any fault.

    Example: quarterhour verify --json
    """
    raise typer.Exit(asyncio.run(verify_cli.verify(Settings(), Console(stderr=json), json=json)))


@app.command()
def token(
    person: Annotated[str, typer.Option(help="whom the token stands for, best an e-mail address")],
    operator: Annotated[bool, typer.Option("--operator", help="an operator, whom all accounts obey (W3)")] = False,
    days: Annotated[int, typer.Option(min=1, max=366, help="how long it is good for")] = 1,
) -> None:
    """Print a sign-in token for a person, signed with QUARTERHOUR_SIGNING_KEY or the running stack's key.

    Example: quarterhour token --person olga@acme.example --days 30
    """
    who = Person(person, "operator" if operator else "user")
    typer.echo(issue(who, commands.signing_key_of(Settings()), datetime.now(UTC), timedelta(days=days)))


@app.command()
def explain(
    workspace: Annotated[str, typer.Argument(help="whose ledger, units and events")],
    what: Annotated[str, typer.Argument(help="a ledger record's number, a unit's id, or an event's id")],
    world: WorldName = None,
) -> None:
    """Tell how a ledger line came to be, down to its events, or what became of an event (L7).

    Example: quarterhour explain ecom 42
    """

    async def show() -> None:
        console = Console()
        async with commands.kept_clickhouse(Settings(), console, world) as client:
            for line in explaining.explain(client, workspace, what):
                console.print(line, markup=False, highlight=False, soft_wrap=True)

    asyncio.run(show())


def main() -> None:
    """Run the command line; an anticipated error is one message and exit code 1."""
    try:
        app()
    except StopAsked:
        sys.exit(0)
    except KafkaConnectionError as error:
        _fail(asyncio.run(or_refused(Settings().kafka, f"Kafka does not answer: {error}")))
    except ANTICIPATED as error:
        _fail(str(error))


def _fail(words: str) -> None:
    Console(stderr=True).print(f"[bold red]error:[/bold red] {words}", soft_wrap=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
