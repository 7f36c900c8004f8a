"""A broker that is not there: told in time, and nothing is left behind."""

from __future__ import annotations

import asyncio

import pytest

from schemas.settings import Settings
from schemas.topics import INBOX
from scripts.stack.ports import free_port
from streams.durable.machine import Output
from streams.requests.requests import Requests
from streams.requests.sender import MOST_ON_THE_WAY, BrokerAway, Sender
from tests.accounts.story import create


async def test_a_command_without_a_broker_is_told_so_in_time_and_waits_for_nothing_afterwards() -> None:
    settings = Settings(kafka_bootstrap_servers=f"127.0.0.1:{free_port()}")
    async with Requests(settings, "test", wait_seconds=0.2) as requests:
        for _ in range(2):
            with pytest.raises(BrokerAway, match="give it again under the same key"):
                await requests.ask(create())
        assert not requests.listening
        assert requests._waiting == {}
        assert requests.desk.told("acme", "create", None) is True, "it may have been taken"


async def test_a_broker_that_takes_nothing_does_not_make_records_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Law 6: past a number on their way, more are turned away at once."""
    sender = Sender("127.0.0.1:1", "test", throwaway=False)

    async def never(_: Output) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(sender, "_send", never)
    record = Output(INBOX, 0, b"k", b"v")
    sending = [asyncio.create_task(sender.send(record)) for _ in range(MOST_ON_THE_WAY)]
    await asyncio.sleep(0)
    with pytest.raises(BrokerAway):
        await sender.send(record)
    await sender.stop()
    await asyncio.gather(*sending, return_exceptions=True)
    assert sender._on_the_way == set()


async def test_replies_are_listened_for_again_whatever_the_tail_ended_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every command would be told as pending from then on, by a door that says it is ready."""
    tries, heard = 0, asyncio.Event()
    requests = Requests(Settings(kafka_bootstrap_servers="127.0.0.1:1"), "test")

    async def listen() -> None:
        nonlocal tries
        tries += 1
        if tries > 1:
            assert not requests.listening
            heard.set()
            await asyncio.Event().wait()
        requests._listening.set()
        raise ValueError("a fault")

    monkeypatch.setattr(requests, "_listen", listen)
    monkeypatch.setattr("streams.requests.requests.RETRY_SECONDS", 0.01)
    async with requests:
        await asyncio.wait_for(heard.wait(), 60)
