"""Real SMTP servers (aiosmtpd) that behave badly in chosen ways, and a real HTTP receiver."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult

from scripts.stack.mailbox import Mailbox
from scripts.stack.ports import free_port


class Badly:
    """What the server does at a step: an answer, `drop` the line, or `hang`; an empty list means it behaves."""

    def __init__(self, mailbox: Mailbox | None = None) -> None:
        self.mailbox = mailbox
        self.at_rcpt: list[str] = []
        self.at_data: list[str] = []
        """Before the message counts as taken."""
        self.after_data: list[str] = []
        """When it has been taken: the answer is what gets lost."""
        self.taken: list[bytes] = []
        self.port = 0

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        """See aiosmtpd."""
        if self.at_rcpt:
            return await self._do(self.at_rcpt.pop(0), server)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """See aiosmtpd."""
        if self.at_data:
            return await self._do(self.at_data.pop(0), server)
        self.taken.append(envelope.content)
        if self.mailbox is not None:
            self.mailbox.keep(envelope.content)
        return await self._do(self.after_data.pop(0), server) if self.after_data else "250 OK"

    async def _do(self, what: str, server: Any) -> str:
        if what == "hang":
            await asyncio.sleep(60)
        if what in ("drop", "hang"):
            server.transport.abort()
            return "421 gone"
        return what


@asynccontextmanager
async def smtp_server(handler: Badly, **options: Any) -> AsyncIterator[str]:
    """Serves on loopback; gives `127.0.0.1:port`. `implicit_tls` is a context to begin with."""
    loop = asyncio.get_running_loop()
    implicit: ssl.SSLContext | None = options.pop("implicit_tls", None)
    port = handler.port = handler.port or free_port()
    connections: list[SMTP] = []

    def connection() -> SMTP:
        made = SMTP(handler, hostname="test.localhost", loop=loop, **options)
        connections.append(made)
        return made

    server = await loop.create_server(connection, "127.0.0.1", port, ssl=implicit)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.close()
        for made in connections:
            task = getattr(made, "_handler_coroutine", None)
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


def authenticator(user: str, password: str) -> Callable[..., AuthResult]:
    """Lets one user in."""

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        good = (data.login, data.password) == (user.encode(), password.encode())
        return AuthResult(success=good, handled=good)

    return check


def make_certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that signs itself, and a server's context with it."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return certificate, context


class Receiver:
    """A raw HTTP receiver: keeps requests, answers as scripted (a status line, `drop` or `hang`)."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.requests.append((first, headers, body))
            answer = self.answers.pop(0) if self.answers else "204 No Content"
            if answer == "hang":
                await asyncio.sleep(60)
            elif answer != "drop":
                writer.write(f"HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
                await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def http_receiver(receiver: Receiver, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serves on loopback; gives the port."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        await receiver.serve(reader, writer)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
