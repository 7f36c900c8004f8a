"""MAILER as processes on a real Apache Kafka, with a real SMTP server: exactly one mail for each crossing (A2, A3)."""

from __future__ import annotations

import asyncio
import json
import signal
import urllib.request
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import ConfigurationError
from schemas.instants import micros_of
from schemas.interactions import ALERT, decode
from schemas.routing import partition_of
from schemas.topics import INTERACTIONS
from scripts import webhooks
from scripts.mail_letters import dead_mails, try_again
from scripts.operating import letters
from scripts.stack.mailbox import Mailbox
from scripts.stack.ports import free_port
from streams.mailer.dispatcher import STEPS
from tests.mailer.conftest import PARTITIONS, NewOffice
from tests.mailer.notices import T0, notice
from tests.mailer.servers import Badly, Receiver, http_receiver, smtp_server

pytestmark = pytest.mark.stack
WHO = "zero_balance to olga@acme.example"


async def test_killed_after_each_step_every_crossing_gives_exactly_one_mail(
    new_office: NewOffice, tmp_path: Path
) -> None:
    handler = Badly(Mailbox(tmp_path / "mails"))
    handler.port = free_port()
    async with new_office(smtp_url=f"smtp://127.0.0.1:{handler.port}", mail_retry_seconds=0.2) as office:
        async with smtp_server(handler):
            for number, step in enumerate(STEPS):
                await office.alert(notice("app_stopped", number + 1, app="helper"))
                dying = office.worker(QUARTERHOUR_FAIL_POINT=f"{step}:1")
                assert await dying.ended() == -signal.SIGKILL, f"{step}: {dying.log.read_text()[-2000:]}"
            last = office.worker()
            steps = await office.until(
                lambda found: len({s.delivery_id for s in found if s.status == "sent"}) == len(STEPS)
            )
            last.process.send_signal(signal.SIGTERM)
            assert await last.ended() == 0, last.log.read_text()[-3000:]
        mails = Mailbox(tmp_path / "mails").mails()
        assert len(mails) == len(STEPS), "none lost, and a store that knows Message-IDs shows none twice"
        assert len({mail.message_id for mail in mails} & {s.message_id for s in steps}) == len(STEPS)
        handed_over = len(handler.taken)
        told = Counter(s.delivery_id for s in steps if s.status == "sent")
        uncertain = {s.delivery_id for s in steps if s.status == "sent" and s.uncertain}
        assert handed_over - len(mails) <= len(uncertain), "only what was on its way when it was killed goes twice"
        assert max(told.values()) <= 2 and sum(told.values()) <= len(told) + 1
        events = {value for value in await office.values(INTERACTIONS) if decode(value).type == ALERT}
        assert len(events) == len(mails), "U9: each mail is one event, told again or not"


async def test_a_worker_that_was_paused_while_another_took_over_hands_over_nothing(
    new_office: NewOffice, tmp_path: Path
) -> None:
    released = asyncio.Event()
    asked = asyncio.Event()

    class Gate(Badly):
        async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
            if not asked.is_set():
                asked.set()
                await released.wait()
            return await super().handle_RCPT(server, session, envelope, address, options)

    handler = Gate(Mailbox(tmp_path / "mails"))
    handler.port = free_port()
    async with new_office(smtp_url=f"smtp://127.0.0.1:{handler.port}") as office, smtp_server(handler):
        await office.alert(notice())
        sleeper = office.worker()
        await asyncio.wait_for(asked.wait(), 120)
        sleeper.process.send_signal(signal.SIGSTOP)
        other = office.worker()
        await office.until(lambda found: any(s.status == "sent" for s in found))
        released.set()
        sleeper.process.send_signal(signal.SIGCONT)
        ended = asyncio.create_task(sleeper.ended())
        await asyncio.wait({ended}, timeout=3)
        ended.cancel()
        assert len(handler.taken) == 1, "its journal is not its own any more, so it hands over nothing"
        assert other.process.poll() is None
        assert len(await office.steps()) == 2


async def test_a_server_that_is_down_refuses_or_drops_the_line_webhooks_dead_letters_and_their_retry(
    new_office: NewOffice, tmp_path: Path
) -> None:
    handler = Badly(Mailbox(tmp_path / "mails"))
    handler.port = free_port()
    receiver = Receiver("500 Oops", "drop")
    async with (
        http_receiver(receiver) as hook_port,
        new_office(
            smtp_url=f"smtp://127.0.0.1:{handler.port}", mail_retry_seconds=0.2, webhook_loopback=True,
            metrics_port=free_port(),
        ) as office,
    ):  # fmt: skip
        settings = office.settings
        with pytest.raises(ConfigurationError, match="webhooks cannot be posted there"):
            await webhooks.add(settings, "acme", "ftp://acme.example/", T0)
        hook = await webhooks.add(settings, "acme", f"http://127.0.0.1:{hook_port}/in", T0)
        other = await webhooks.add(settings, "acme", "https://acme.example/in", T0)
        await webhooks.remove(settings, "acme", other.webhook_id)
        assert await webhooks.webhooks(settings) == [hook]
        with pytest.raises(ConfigurationError, match="has no webhook"):
            await webhooks.remove(settings, "acme", other.webhook_id)
        worker = office.worker()
        await worker.says("ours", times=PARTITIONS)
        home = partition_of("acme", PARTITIONS)
        await office.alert(notice(), partition=home)
        await office.until(lambda found: any(s.status == "retrying" and s.channel == "email" for s in found))
        handler.at_rcpt = ["451 busy"]
        handler.at_data = ["452 full"]
        handler.after_data = ["drop"]
        async with smtp_server(handler):
            steps = await office.until(lambda found: sum(s.status == "sent" for s in found) == 2)
            assert len(handler.taken) == 2, "the line broke once after the message had been taken"
            assert len(Mailbox(tmp_path / "mails").mails()) == 1
            assert {s.channel: s.uncertain for s in steps if s.status == "sent"} == {"email": True, "webhook": True}
            assert len(receiver.requests) == 3
            assert json.loads(receiver.requests[0][2])["data"]["alert_id"] == notice().alert_id

            handler.at_rcpt = ["550 no such user"]
            await office.alert(notice("zero_balance", 2), partition=home)
            await office.until(lambda found: any(s.status == "dead" for s in found))
            async with asyncio.timeout(60):
                while not (found := await dead_mails(settings, "acme")):  # noqa: ASYNC110 - a topic of its own, a moment later
                    await asyncio.sleep(0.05)
            (letter,) = found
            assert (letter.reason, letter.detail) == ("bad_address", "550 no such user")
            name = f"mail-{letter.delivery_id}"
            (listed,) = await letters.letters(settings, "zero_balance", "bad_address")
            assert (listed.name, listed.what) == (name, "zero_balance to olga@acme.example: 550 no such user")
            assert await letters.letters(settings, "zero_balance", "refused") == []
            labels, _ = await letters.shown(settings, name)
            assert (labels["to"], labels["alert"]) == ("olga@acme.example", "zero_balance")
            with pytest.raises(ConfigurationError, match="leave --value out"):
                await letters.retry(settings, name, b"{}", "ops", T0)
            with pytest.raises(ConfigurationError, match="no mail-unknown was given up"):
                await letters.shown(settings, "mail-unknown")
            now_us = micros_of(datetime.now(UTC))
            assert await letters.retry(settings, name, None, "ops", now_us) == f"{name} is tried again: {WHO}"
            await try_again(settings, letter.delivery_id, "ops", now_us)
            with pytest.raises(ConfigurationError, match="no delivery 'unknown' was given up"):
                await try_again(settings, "unknown", "ops", T0)
            steps = await office.until(lambda found: any(s.status == "sent" and s.round == 2 for s in found))
            await office.until(lambda found: sum(s.status == "sent" for s in found) == 4)
            assert len(Mailbox(tmp_path / "mails").mails()) == 2
            expected = {
                'quarterhour_mails_total{outcome="sent"} 4.0', 'quarterhour_mails_total{outcome="dead"} 1.0',
                "quarterhour_mails_oldest_unsent_seconds 0.0",
                'quarterhour_mailer_records_total{outcome="tried again",topic="mails.retry"} 1.0',
            }  # fmt: skip
            async with asyncio.timeout(60):  # what is in the topic is counted a moment later
                while missing := expected - await asyncio.to_thread(metrics_of, settings.metrics_port):
                    print(missing)
                    await asyncio.sleep(0.1)


def metrics_of(port: int | None) -> set[str]:
    """A worker's metrics, line by line."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        return set(answer.read().decode().splitlines())
