"""`quarterhour mails` and `quarterhour webhooks`: what was caught, what was given up, where alerts are posted."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from schemas.errors import ConfigurationError
from schemas.instants import text_of
from schemas.settings import Settings
from scripts import commands, mail_letters
from scripts import webhooks as hooks
from scripts.local import KAFKA
from scripts.stack.home import Home
from scripts.stack.mailbox import Mailbox

mails = typer.Typer(
    help="Mails: those the local stack caught; deliveries given up.\n\nExample: quarterhour mails --workspace acme"
)
webhooks = typer.Typer(
    no_args_is_help=True,
    help="Where workspaces want their alerts posted.\n\nExample: quarterhour webhooks add acme https://acme.example/in",
)
Workspace = Annotated[str | None, typer.Option("--workspace", help="of this workspace only")]


def add_to(app: typer.Typer) -> None:
    """Add both to the command line."""
    app.add_typer(mails, name="mails")
    app.add_typer(webhooks, name="webhooks")


@mails.callback(invoke_without_command=True)
def caught(
    context: typer.Context,
    workspace: Workspace = None,
    text: Annotated[bool, typer.Option("--text", help="with the text of each")] = False,
) -> None:
    """List the mails that the local stack's catcher holds, newest first.

    Example: quarterhour mails --workspace acme --text
    """
    if context.invoked_subcommand is not None:
        return
    console = Console()
    found = _mailbox().mails(workspace)
    if text:
        for mail in found:
            console.print(f"To: {mail.to}\nSubject: {mail.subject}\n\n{mail.text}", markup=False, highlight=False)
        return
    table = Table("received", "workspace", "to", "subject", Column("file", no_wrap=True))
    for mail in found:
        table.add_row(*map(escape, (mail.received[:19], mail.workspace, mail.to, mail.subject, f"{mail.id}.eml")))
    console.print(table)


@mails.command()
def dead(workspace: Workspace = None) -> None:
    """List the deliveries that were given up, with the reason.

    Example: quarterhour mails dead --workspace acme
    """
    table = Table(Column("delivery", no_wrap=True), "given up", "workspace", "to", "alert", "reason", "detail")
    for letter in asyncio.run(mail_letters.dead_mails(_kafka_settings(), workspace)):
        table.add_row(*map(escape, (letter.delivery_id, text_of(letter.died_us)[:19], letter.workspace,
                                    letter.recipient, letter.kind, letter.reason, letter.detail)))  # fmt: skip
    Console().print(table)


@mails.command()
def retry(
    delivery: Annotated[str, typer.Argument(help="as `quarterhour mails dead` shows it")],
    by: Annotated[str, typer.Option(help="who asks for it")] = "operator",
) -> None:
    """Have a delivery tried again that was given up.

    Example: quarterhour mails retry 9f89c0c91317d218613039cc039dfb96
    """
    letter = asyncio.run(mail_letters.try_again(_kafka_settings(), delivery, by, _now_us()))
    Console().print(f"asked for: {letter.kind} to {letter.recipient}", markup=False)


@webhooks.command(name="add")
def add_webhook(
    workspace: Annotated[str, typer.Argument(help="whose alerts")],
    url: Annotated[str, typer.Argument(help="an https address")],
) -> None:
    """Post a workspace's alerts to an address from now on; prints the secret that signs them, once.

    Example: quarterhour webhooks add acme https://acme.example/alerts
    """
    hook = asyncio.run(hooks.add(_kafka_settings(), workspace, url, _now_us()))
    Console(soft_wrap=True).print(f"webhook {hook.webhook_id} of {workspace}; secret {hook.secret}", markup=False)


@webhooks.command(name="list")
def list_webhooks() -> None:
    """List all webhooks, without their secrets.

    Example: quarterhour webhooks list
    """
    table = Table("workspace", "webhook", "address", "added")
    for hook in asyncio.run(hooks.webhooks(_kafka_settings())):
        table.add_row(*map(escape, (hook.workspace, hook.webhook_id, hook.url, text_of(hook.added_us)[:19])))
    Console().print(table)


@webhooks.command(name="remove")
def remove_webhook(
    workspace: Annotated[str, typer.Argument(help="whose")],
    webhook: Annotated[str, typer.Argument(help="its id, as `quarterhour webhooks list` shows it")],
) -> None:
    """Post no more alerts there.

    Example: quarterhour webhooks remove acme 1f2e3d4c
    """
    asyncio.run(hooks.remove(_kafka_settings(), workspace, webhook))


def _now_us() -> int:
    return time.time_ns() // 1000


def _kafka_settings() -> Settings:
    """The settings with the address of Kafka, of the running stack unless given."""
    settings = Settings()
    if settings.kafka_bootstrap_servers:
        return settings
    return settings.model_copy(update={"kafka_bootstrap_servers": commands.running_address(settings, KAFKA)})


def _mailbox() -> Mailbox:
    """The mails of the running stack, else of the world that caught some last."""
    worlds = [world for world in Home.from_environment().worlds() if world.mails.is_dir()]
    if not worlds:
        raise ConfigurationError("no mail has been caught yet: `quarterhour up` starts the catcher")
    running = [world for world in worlds if world.running() is not None]
    return Mailbox((running or sorted(worlds, key=lambda world: world.mails.stat().st_mtime))[-1].mails)
