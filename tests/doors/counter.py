"""The account core behind the account API without Kafka: each command is folded at once, or not at all."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from starlette.applications import Starlette

from schemas.commands import Command
from streams.doors.accounts.application import application
from streams.requests.desk import Desk
from streams.requests.requests import Answer
from streams.requests.sender import BrokerAway
from tests.accounts.story import Story

KEY = "0123456789abcdef0123456789abcdef"


class Counter:
    """Asks the core. `mood` is what goes wrong: nothing, no answer in time (`slow`), no broker (`away`)."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.story = Story()
        self.mood = ""
        self.listening = True

    async def __aenter__(self) -> object:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def ask(self, command: Command) -> Answer | None:
        key = self.desk.expect(command)
        if self.mood == "away":
            raise BrokerAway
        known = self.desk.answer(key)
        if known is None:
            self.story.tell(command)
            reply = self.story.replies[-1]
            record = reply.record or next(r for r in self.story.ledger if r.origin.offset == reply.decided_offset)
            if self.mood == "slow":
                return None
            self.desk.settle(key, record)
            return Answer(record, repeated=reply.record is None)
        return Answer(known, repeated=True)

    def application(self) -> Starlette:
        """The account API before it."""
        return application(self, KEY)


class Client:
    """An HTTP client of an application in this process."""

    def __init__(self, application: Starlette) -> None:
        self._application = application

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One request, answered."""

        async def answered() -> httpx.Response:
            transport = httpx.ASGITransport(self._application)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path, **more)

        return asyncio.run(answered())

    def get(self, path: str, **more: Any) -> httpx.Response:
        """GET."""
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        """POST."""
        return self.request("POST", path, **more)
