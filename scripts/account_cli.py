"""`quarterhour account ...`: commands to accounts and looking at them, a typer application for the command line."""

from __future__ import annotations

import asyncio
import json as jsons
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from projections.account import account_view
from projections.profile import as_published, profile
from schemas.catalog import DEFAULT_CATALOG, load_catalog
from schemas.errors import ConfigurationError
from schemas.settings import Settings
from scripts import account_simulate
from scripts.account_client import AccountClient, show_answer
from scripts.account_commands import IdOption, JsonOption, PersonOption, WorkspaceArgument, add_commands, give
from scripts.account_show import show_account
from scripts.commands import kept_clickhouse

app = typer.Typer(
    no_args_is_help=True,
    help="Accounts: what they are told, were given, used and owe."
    "\n\nExample: quarterhour account create-workspace acme --owner olga@acme.example",
)


@app.callback()
def account() -> None:
    """Give accounts commands through the running stack's account API, and look at what became of them.

    Exit codes: 0 done, 1 refused, 3 accepted and not yet confirmed (`answer` asks again).

    Example: quarterhour account create-workspace acme --owner olga@acme.example
    """


@app.command()
def simulate(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="a story: streams/accounts/SIMULATE.md")],
    records: Annotated[
        bool, typer.Option("--records", help="print the records of all topics, as they would be")
    ] = False,
) -> None:
    """Fold a story of commands, units and ticks through the account core and print what comes of it as JSON.

    Example: quarterhour account simulate story.json
    """
    raise typer.Exit(account_simulate.main([str(file)], as_records=records))


@app.command()
def show(
    workspace: WorkspaceArgument,
    world: Annotated[str | None, typer.Option("--world", help="whose data; default: the running stack's")] = None,
) -> None:
    """Print an account: balances, credit, apps, alerts.

    Example: quarterhour account show acme
    """

    async def shown() -> None:
        settings, console = Settings(), Console()
        async with kept_clickhouse(settings, console, world) as client:
            catalog = load_catalog(settings.catalog or DEFAULT_CATALOG)
            view, told = account_view(client, workspace, catalog), profile(client, workspace, catalog)
            if view is None or told is None:
                raise ConfigurationError(f"there is no workspace {workspace!r}")
            show_account(console, as_published(view, told))

    asyncio.run(shown())


@app.command()
def answer(
    workspace: WorkspaceArgument,
    command_id: Annotated[str, typer.Argument(help="the command's id")],
    person: PersonOption = None,
    json: JsonOption = False,
) -> None:
    """Ask again what a command led to, as far as the account API heard it lately.

    Example: quarterhour account answer acme cli-0f3b
    """
    told = AccountClient(Settings(), person).answer(workspace, command_id)
    if json:
        typer.echo(jsons.dumps(told.content))
    else:
        show_answer(Console(), told, workspace, command_id)
    raise typer.Exit(told.exit_code)


@app.command()
def command(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help='{"workspace", "kind", its fields...}')],
    id: IdOption = None,
    person: PersonOption = None,
    json: JsonOption = False,
) -> None:
    """Give the command in a file, its fields spelled as in the contract, or `..._usd` and `..._at` for people.

    Example: quarterhour account command contract.json
    """
    try:
        fields: Any = jsons.loads(file.read_text(encoding="utf-8"))
        workspace, kind = fields.pop("workspace"), fields.pop("kind")
        read = account_simulate.read_fields(fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        wanted = '{"workspace": "acme", "kind": "publish_app", "app": "helper"}'
        raise ConfigurationError(f"{file}: {error!r}; wanted is one like {wanted}") from None
    raise typer.Exit(give(str(workspace), str(kind), read, id, person, json))


add_commands(app)
