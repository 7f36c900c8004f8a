"""The doors of the local stack: processes that people and programs speak HTTP to, as a table.

A door has a port setting and an address in the world's record under its name. All share the world's signing key.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from projections.embedded.process import wait_until_ready
from projections.web.process import command as page_command
from schemas.settings import Settings
from scripts.stack.ports import given_or_free
from scripts.stack.process import ProcessSpec
from streams.doors.accounts.process import command as accounts_command
from streams.doors.ingest.process import command as ingest_command

PAGE, ACCOUNTS_API, INGEST = "page", "accounts-api", "ingest"
READY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Door:
    """One door. `port` names its field of the settings; `ready` is the path that answers 200 when it serves."""

    name: str
    words: str
    port: str
    command: Callable[[int], list[str]]
    ready: str


DOORS = (
    Door(PAGE, "Plan & Usage page", "page_port", page_command, "/ready"),
    Door(ACCOUNTS_API, "account API", "accounts_port", accounts_command, "/ready"),
    Door(INGEST, "HTTP ingest", "ingest_port", ingest_command, "/ready"),
)


def open_doors(settings: Settings) -> tuple[list[ProcessSpec], dict[str, str]]:
    """The doors' processes, and their addresses by name, each ending with a slash."""
    ports = {
        door.name: given_or_free(getattr(settings, door.port), f"the {door.words}", f"QUARTERHOUR_{door.port.upper()}")
        for door in DOORS
    }
    addresses = {name: f"http://127.0.0.1:{port}/" for name, port in ports.items()}
    # The page gives commands through our own account API, unless another is named.
    settings = settings.model_copy(update={"accounts_url": settings.accounts_url or addresses[ACCOUNTS_API]})
    specs: list[ProcessSpec] = []
    for door in DOORS:
        port = ports[door.name]
        specs.append(ProcessSpec(door.name, door.command(port), settings.environment(), ready=_waiting(door, port)))
    return specs, addresses


def signing_key(file: Path) -> str:
    """A world's signing key: made once, whole or not at all, readable by its owner only."""
    if not file.exists():
        descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f"{file.name}.")  # with mode 0600
        with os.fdopen(descriptor, "w", encoding="ascii") as made:
            made.write(secrets.token_urlsafe(48))
        Path(temporary).replace(file)
    return file.read_text(encoding="ascii")


def _waiting(door: Door, port: int) -> Callable[[], Awaitable[None]]:
    async def wait() -> None:
        await asyncio.to_thread(wait_until_ready, f"http://127.0.0.1:{port}", READY_SECONDS, door.ready)

    return wait
