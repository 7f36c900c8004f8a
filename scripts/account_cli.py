"""`quarterhour account ...`: commands about accounts, a typer application to be added to the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scripts import account_simulate

app = typer.Typer(
    no_args_is_help=True,
    help="Accounts: what they were given, used and owe.\n\nExample: quarterhour account simulate story.json",
)


@app.callback()
def account() -> None:
    """What accounts were given, used and owe.

    Example: quarterhour account simulate story.json
    """


@app.command()
def simulate(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="a story: streams/accounts/SIMULATE.md")],
) -> None:
    """Fold a story of commands, units and ticks through the account core and print what comes of it as JSON.

    Example: quarterhour account simulate story.json
    """
    raise typer.Exit(account_simulate.main([str(file)]))
