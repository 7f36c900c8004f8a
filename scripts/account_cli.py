"""`quarterhour account ...`: commands about accounts, a typer application to be added to the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from scripts import account_simulate, bench_accounts

app = typer.Typer(no_args_is_help=True, help="Accounts: what they were given, used and owe.")


@app.callback()
def account() -> None:
    """Accounts: what they were given, used and owe."""


@app.command()
def simulate(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="a story: streams/accounts/SIMULATE.md")],
) -> None:
    """Fold a story of commands, units and ticks through the account core and print what comes of it as JSON."""
    raise typer.Exit(account_simulate.main([str(file)]))


@app.command()
def bench(
    charges: Annotated[int, typer.Option(min=1, help="charges to post")] = 200_000,
    workspaces: Annotated[int, typer.Option(min=1, help="how many the second run has")] = bench_accounts.MANY,
) -> None:
    """Postings a second of one core with 10 workspaces and with many, as JSON. A million need 7 GB of memory."""
    print(json.dumps(bench_accounts.bench(charges, workspaces), indent=2))
