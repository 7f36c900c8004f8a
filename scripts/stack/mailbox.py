"""The local stack's mail catcher: a real SMTP server that keeps what it is given as files, and shows them over HTTP.

    python -m scripts.stack.mailbox DIRECTORY --smtp-port 2525 --http-port 8025

Guarantee: a message whose Message-ID is here already is accepted and dropped, so what was handed in twice is kept once.
Nothing is ever sent on. HTTP is read-only: `/mails?workspace=W` as JSON, newest first;
`/mails?message_id=M` the one with that Message-ID; `/mails/ID` one as it came.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as modern
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from aiosmtpd.smtp import SMTP
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

LARGEST_LIST = 500
_HOSTS = ["127.0.0.1", "localhost", "[::1]"]


@dataclass(frozen=True, slots=True)
class Caught:
    """One message that was caught. `id` is its file's name; `text` its plain text."""

    id: str
    received: str
    message_id: str
    workspace: str
    kind: str
    to: str
    subject: str
    text: str


class Mailbox:
    """A folder of messages."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def keep(self, content: bytes) -> bool:
        """Keep a message; False if one with its Message-ID is here. Whole or not at all."""
        message_id = str(_parsed(content)["Message-ID"] or "").strip()
        name = _name(message_id.encode() if message_id else content)
        self.directory.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.directory, prefix=".", suffix=".part") as file:
            file.write(content)
            file.flush()
            now = time.time_ns()  # a file system's own clock may give two messages the same instant
            os.utime(file.name, ns=(now, now))
            try:
                os.link(file.name, self.directory / f"{name}.eml")
            except FileExistsError:
                return False
        return True

    def mails(self, workspace: str | None = None, limit: int = LARGEST_LIST) -> list[Caught]:
        """What was caught, newest first; of one workspace if named."""
        found: list[Caught] = []
        for path in self._newest_first():
            caught = _caught(path)
            if workspace is None or caught.workspace == workspace:
                found.append(caught)
            if len(found) >= limit:
                break
        return found

    def with_message_id(self, message_id: str) -> list[Caught]:
        """The message of that Message-ID, if it was caught."""
        path = self.directory / f"{_name(message_id.encode())}.eml"
        return [_caught(path)] if message_id and path.is_file() else []

    def raw(self, mail_id: str) -> bytes | None:
        """One message as it came; None when there is none."""
        path = self.directory / f"{mail_id}.eml"
        return path.read_bytes() if mail_id.isalnum() and path.is_file() else None

    def _newest_first(self) -> Iterator[Path]:
        paths = list(self.directory.glob("*.eml")) if self.directory.is_dir() else []
        return iter(sorted(paths, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True))


def _name(identity: bytes) -> str:
    return hashlib.sha256(identity).hexdigest()[:32]


def _parsed(content: bytes) -> EmailMessage:
    return message_from_bytes(content, policy=modern)


def _caught(path: Path) -> Caught:
    message = _parsed(path.read_bytes())
    body = message.get_body(("plain", "html"))
    received = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="milliseconds")
    message_id, workspace, kind, to, subject = (
        str(message[name] or "")
        for name in ("Message-ID", "X-Quarterhour-Workspace", "X-Quarterhour-Alert", "To", "Subject")
    )
    text = body.get_content().replace("\r\n", "\n") if body is not None else ""
    return Caught(path.stem, received, message_id, workspace, kind, to, subject, text)


class _Handler:
    """aiosmtpd's handler: takes everything."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        kept = await asyncio.to_thread(self._mailbox.keep, envelope.original_content or envelope.content)
        return "250 2.0.0 Kept" if kept else "250 2.0.0 Is here already, dropped"


def application(mailbox: Mailbox) -> Starlette:
    """The read-only HTTP side."""

    def ping(_: Request) -> Response:
        return PlainTextResponse("Ok.\n")

    def mails(request: Request) -> Response:
        asked = request.query_params
        message_id = asked.get("message_id")
        found = mailbox.mails(asked.get("workspace")) if message_id is None else mailbox.with_message_id(message_id)
        return JSONResponse([asdict(caught) for caught in found])

    def mail(request: Request) -> Response:
        content = mailbox.raw(request.path_params["mail_id"])
        if content is None:
            return PlainTextResponse("There is no such mail.\n", 404)
        return Response(content, media_type="text/plain; charset=utf-8")

    return Starlette(
        routes=[Route("/ping", ping), Route("/mails", mails), Route("/mails/{mail_id}", mail)],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=_HOSTS)],
    )


def command(directory: Path, smtp_port: int, http_port: int) -> list[str]:
    """The argument list that serves on loopback, with this Python; `/ping` answers when both doors are open."""
    ports = ["--smtp-port", str(smtp_port), "--http-port", str(http_port)]
    return [sys.executable, "-m", "scripts.stack.mailbox", str(directory), *ports]


async def wait_until_ready(http_port: int) -> None:
    """Return when both doors of the catcher are open."""
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(f"http://127.0.0.1:{http_port}/ping")).is_success:
                    return
            await asyncio.sleep(0.05)


async def serve(mailbox: Mailbox, smtp_port: int, http_port: int) -> None:
    """Serve both doors until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: None)  # uvicorn ends on them, and raises them once more afterwards
    handler = _Handler(mailbox)
    smtp = await loop.create_server(
        lambda: SMTP(handler, hostname="mailbox.localhost", loop=loop), "127.0.0.1", smtp_port
    )
    config = uvicorn.Config(application(mailbox), host="127.0.0.1", port=http_port, log_level="warning", lifespan="off")
    await uvicorn.Server(config).serve()
    smtp.close()


def main() -> None:
    """Run the catcher."""
    parser = argparse.ArgumentParser(description="Catch mails: keep them as files, show them over HTTP.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--smtp-port", type=int, required=True)
    parser.add_argument("--http-port", type=int, required=True)
    given = parser.parse_args()
    asyncio.run(serve(Mailbox(given.directory), given.smtp_port, given.http_port))


if __name__ == "__main__":
    main()
