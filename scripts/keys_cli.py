"""`quarterhour keys ...`: API keys of gateways, kept in the topic `gateway.keys`."""

from __future__ import annotations

import asyncio
import getpass
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from schemas.errors import ConfigurationError
from schemas.gateway_keys import ApiKey, encode_key
from schemas.instants import text_of
from schemas.settings import Settings
from schemas.topics import GATEWAY_KEYS
from scripts.commands import running_address
from scripts.local import KAFKA
from streams.gateway.follower import Follower
from streams.gateway.keys import Keys, issue
from streams.gateway.keys import revoke as revoked
from streams.gateway.publisher import Publisher, PublisherPolicy

app = typer.Typer(
    no_args_is_help=True,
    help="API keys of gateways for the HTTP ingest.\n\nExample: quarterhour keys create --workspace acme",
)
Workspace = Annotated[str, typer.Option("--workspace", "-w", help="whose events the key may publish")]
By = Annotated[str | None, typer.Option("--by", help="who does this; default: the user of this machine")]
_Result = TypeVar("_Result")


@app.command()
def create(
    workspace: Workspace,
    label: Annotated[str, typer.Option(help="what the key is for")] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="print the key and nothing else")] = False,
    by: By = None,
) -> None:
    """Make a key and print it, once: only a hash of it is kept.

    Example: quarterhour keys create --workspace acme --label "web gateway"
    """
    try:
        issued = issue(workspace, label, by or getpass.getuser(), time.time_ns() // 1000)
    except ValueError as error:
        raise ConfigurationError(f"no key was made: {error}") from None
    asyncio.run(_with_publisher(lambda publisher: _publish(publisher, issued.key)))
    if not quiet:
        note = f"key {issued.key.key_id} for workspace {workspace}; keep it now, it is not shown again:"
        Console(stderr=True).print(note, markup=False, highlight=False, soft_wrap=True)
    typer.echo(issued.text)


@app.command("list")
def list_keys(
    workspace: Annotated[str | None, typer.Option("--workspace", "-w", help="only of this one")] = None,
) -> None:
    """List the keys, without their secrets.

    Example: quarterhour keys list --workspace acme
    """
    key_id = Column("key id", no_wrap=True, min_width=16)
    table = Table(key_id, "workspace", "label", "created by", "created", "revoked")
    for key in asyncio.run(_all_keys()):
        if workspace in (None, key.workspace):
            when = "" if key.revoked_us is None else f"{_second(key.revoked_us)} by {key.revoked_by}"
            table.add_row(
                *map(escape, (key.key_id, key.workspace, key.label, key.created_by, _second(key.created_us), when))
            )
    Console(soft_wrap=True).print(table)


@app.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="the id `keys list` shows")], workspace: Workspace, by: By = None
) -> None:
    """Revoke a key: within about a second nothing is taken with it any more, for good.

    Example: quarterhour keys revoke 0123456789abcdef --workspace acme
    """
    found = {key.key_id: key for key in asyncio.run(_all_keys()) if key.workspace == workspace}.get(key_id)
    if found is None:
        raise ConfigurationError(
            f"workspace {workspace} has no key {key_id}: `quarterhour keys list --workspace {workspace}` shows its keys"
        )
    gone = revoked(found, by or getpass.getuser(), time.time_ns() // 1000)
    if gone != found:
        asyncio.run(_with_publisher(lambda publisher: _publish(publisher, gone)))
    typer.echo(f"key {key_id} of workspace {workspace} is revoked since {text_of(gone.revoked_us or 0)}")


def _second(instant_us: int) -> str:
    return f"{text_of(instant_us)[:19]}Z"


def _settings() -> Settings:
    settings = Settings()
    if settings.kafka_bootstrap_servers:
        return settings
    return settings.model_copy(update={"kafka_bootstrap_servers": running_address(settings, KAFKA)})


async def _with_publisher(work: Callable[[Publisher], Awaitable[_Result]]) -> _Result:
    settings = _settings()
    publisher = Publisher(
        settings.kafka, "quarterhour-keys", PublisherPolicy(delivery_seconds=20),
        topic=GATEWAY_KEYS, throwaway=settings.throwaway,
    )  # fmt: skip
    await publisher.start()
    try:
        return await work(publisher)
    finally:
        await publisher.close()


async def _publish(publisher: Publisher, key: ApiKey) -> None:
    await (await publisher.publish(key.key_id, encode_key(key)))


async def _all_keys() -> list[ApiKey]:
    keys = Keys()
    follower = Follower(_settings().kafka, GATEWAY_KEYS, keys.apply)
    await follower.start()
    await follower.close()
    return sorted(keys.by_id.values(), key=lambda key: (key.workspace, key.created_us, key.key_id))
