"""`quarterhour bench ...`: measurements side by side in one run; never asserted by a timed test."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from scripts import bench_accounts, bench_gateway, bench_reads, bench_reconcile
from scripts.bench import meter as bench_meter

app = typer.Typer(
    no_args_is_help=True,
    help="Measure METER, ACCOUNTS and the read side on this machine.\n\nExample: quarterhour bench accounts --json",
)
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": ["--usage"]}


@app.command(context_settings=_PASSED_ON)
def meter(context: typer.Context) -> None:
    """CPU seconds per million events end to end, with the floor and idiomatic Faust in the same run.

    Example: quarterhour bench meter --events 200000 --json
    """
    sys.argv = ["quarterhour bench meter", *context.args]
    bench_meter.main()


@app.command(context_settings=_PASSED_ON)
def reads(context: typer.Context) -> None:
    """Account view, 90-day trend, rebuild and freshness.

    Example: quarterhour bench reads --rows 1000000 --json
    """
    raise typer.Exit(bench_reads.main(context.args))


@app.command(context_settings=_PASSED_ON)
def gateway(context: typer.Context) -> None:
    """Publishing by SDK and over HTTP, with floors in the same run, and `allowed`.

    Example: quarterhour bench gateway --events 50000 --json
    """
    raise typer.Exit(bench_gateway.main(context.args))


@app.command(context_settings=_PASSED_ON)
def reconcile(context: typer.Context) -> None:
    """The reconciliation of 10 M events: seconds and memory.

    Example: quarterhour bench reconcile --events 1000000 --json
    """
    raise typer.Exit(bench_reconcile.main(context.args))


@app.command()
def accounts(
    charges: Annotated[int, typer.Option(min=1, help="charges to post")] = 200_000,
    workspaces: Annotated[int, typer.Option(min=1, help="how many the second run has")] = bench_accounts.MANY,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on one line")] = False,
) -> None:
    """Postings a second of one core with 10 workspaces and with many. A million need about 7 GB of memory.

    Example: quarterhour bench accounts --charges 100000 --workspaces 20000
    """
    found = bench_accounts.bench(charges, workspaces)
    print(json.dumps(found, indent=None if as_json else 2))
