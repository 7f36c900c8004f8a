"""Webhooks: signed as any receiver can check, posted with time-outs, without redirects, to nowhere inside."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import time
from typing import Any

import pytest

from schemas.errors import InvalidRecord
from schemas.mails import Webhook
from streams.mailer.book import Book
from streams.mailer.deliveries import Accepted, Delivery, Failed, Outcome
from streams.mailer.hooks import WebhookCarrier, check_url, judged_address
from streams.mailer.signing import new_secret
from tests.mailer.notices import T0, delivery
from tests.mailer.servers import Receiver, http_receiver

SECRET = new_secret()


async def post(url: str, *, seconds: float = 60, loopback: bool = True, known: bool = True) -> tuple[Outcome, int]:
    """The outcome of one delivery to the webhook, and how often the hand-over was announced."""
    hook = Webhook("h1", "acme", url, SECRET, T0)
    announced = 0

    async def before() -> None:
        nonlocal announced
        announced += 1

    carrier = WebhookCarrier(lambda *_: hook if known else None, seconds, loopback=loopback)
    try:
        return await carrier.carry(waiting(url), before), announced
    finally:
        await carrier.close()


def waiting(url: str) -> Delivery:
    """A delivery to the webhook."""
    return delivery(recipient=url, channel="webhook", webhook_id="h1")


def is_signed(headers: dict[str, str], body: bytes, now: float) -> bool:
    """A receiver's own check, by the specification and nothing of ours."""
    key = base64.b64decode(SECRET.split("_", 1)[1])
    content = headers["webhook-id"].encode() + b"." + headers["webhook-timestamp"].encode() + b"." + body
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    fresh = abs(now - int(headers["webhook-timestamp"])) <= 300
    version, _, given = headers["webhook-signature"].partition(",")
    return fresh and version == "v1" and hmac.compare_digest(expected, given)


async def test_a_webhook_is_posted_with_a_signature_that_a_receiver_can_check() -> None:
    receiver = Receiver()
    async with http_receiver(receiver) as port:
        outcome, announced = await post(f"http://127.0.0.1:{port}/in?x=1")
    assert isinstance(outcome, Accepted)
    assert announced == 1
    ((first, headers, body),) = receiver.requests
    assert first == "POST /in?x=1 HTTP/1.1"
    assert headers["host"] == f"127.0.0.1:{port}"
    assert headers["content-type"] == "application/json"
    said: dict[str, Any] = json.loads(body)
    assert said["type"] == "alert.low_balance"
    assert said["timestamp"] == "2026-01-01T09:00:00.000000Z"
    assert said["data"]["available_micros"] == 45_000_000
    assert "recipients" not in said["data"], "addresses of people go to nobody"
    assert is_signed(headers, body, time.time())
    assert not is_signed(headers, body + b" ", time.time())
    assert not is_signed(headers, body, time.time() + 301), "replayed later"


async def test_each_attempt_has_the_same_id_so_that_a_receiver_can_drop_repeats() -> None:
    receiver = Receiver("500 Oops")
    async with http_receiver(receiver) as port:
        for _ in range(2):
            await post(f"http://127.0.0.1:{port}/")
    assert len({headers["webhook-id"] for _, headers, _ in receiver.requests}) == 1


@pytest.mark.parametrize(
    ("answer", "final", "uncertain"),
    [
        ("500 Oops", None, False), ("503 Busy", None, False), ("404 Not Found", None, False),
        ("429 Too Many", None, False), ("302 Found", None, False), ("410 Gone", "gone", False),
        ("drop", None, True), ("hang", None, True),
    ],
)  # fmt: skip
async def test_a_receiver_that_fails_is_tried_again_unless_it_says_that_it_is_gone(
    answer: str, final: str | None, uncertain: bool
) -> None:
    receiver = Receiver(answer)
    async with http_receiver(receiver) as port:
        outcome, _ = await post(f"http://127.0.0.1:{port}/", seconds=2 if answer == "hang" else 60)
    assert isinstance(outcome, Failed)
    assert (outcome.final, outcome.uncertain) == (final, uncertain)
    assert len(receiver.requests) == 1


async def test_nobody_there_is_a_plain_failure() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        outcome, _ = await post(f"http://127.0.0.1:{held.getsockname()[1]}/")
    assert isinstance(outcome, Failed)
    assert (outcome.final, outcome.uncertain) == (None, False)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/", "https://localhost/", "https://10.0.0.1/", "https://192.168.1.1/", "https://[::1]/",
        "https://169.254.169.254/latest", "https://[::ffff:127.0.0.1]/", "https://0.0.0.0/", "https://2130706433/",
        "https://224.0.0.1/", "https://[fd00::1]/", "https://[64:ff9b::a00:1]/", "https://[2002:7f00:1::]/",
        "http://example.com/", "ftp://example.com/", "https://u:p@x.example/",
    ],
)  # fmt: skip
async def test_nothing_inside_is_posted_to(url: str) -> None:
    outcome, announced = await post(url, loopback=False)
    assert isinstance(outcome, Failed)
    assert (outcome.final, announced) == ("bad_address", 0)


async def test_with_the_setting_loopback_may_be_posted_to_and_nothing_else_inside() -> None:
    assert await judged_address("127.0.0.1", 80, loopback=True) == "127.0.0.1"
    assert await judged_address("10.0.0.1", 80, loopback=True) is None
    assert await judged_address("8.8.8.8", 443, loopback=False) == "8.8.8.8"
    outcome, _ = await post("http://8.8.8.8/", loopback=True)
    assert isinstance(outcome, Failed)
    assert outcome.final == "bad_address", "http is for loopback only"


async def test_a_webhook_that_was_removed_or_changed_meanwhile_is_not_posted_to() -> None:
    outcome, announced = await post("http://127.0.0.1:9/", known=False)
    assert isinstance(outcome, Failed)
    assert (outcome.final, announced) == ("gone", 0)


async def test_a_webhook_of_an_international_name_is_posted_to_by_its_ascii_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    async def found(host: str, port: int, **_: object) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
    receiver = Receiver()
    async with http_receiver(receiver) as port:
        outcome, _ = await post(f"http://b\u00fccher.example:{port}/in")
    assert isinstance(outcome, Accepted)
    assert asked == ["xn--bcher-kva.example"]
    assert receiver.requests[0][1]["host"] == f"xn--bcher-kva.example:{port}"


NO_ADDRESSES = [
    "", "x", "https://", "https://x.example/#part", "https://x.example:0/", "https://x.example:99999/",
    "https://x..example/", f"https://{'x' * 64}.example/", "https://[::1/", "https://x.example/\x7f", "https://\u2100.example/",
]  # fmt: skip


@pytest.mark.parametrize("url", NO_ADDRESSES)
async def test_an_address_that_is_none_is_a_delivery_given_up_and_no_end_of_the_process(url: str) -> None:
    outcome, announced = await post(url)
    assert isinstance(outcome, Failed)
    assert (outcome.final, announced) == ("bad_address", 0)


@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_an_address_that_cannot_be_posted_to_is_refused_when_it_is_added(url: str) -> None:
    with pytest.raises(InvalidRecord, match="webhooks cannot be posted there"):
        check_url(url, loopback=False)


def test_the_book_of_webhooks_follows_the_topic() -> None:
    import msgspec

    book = Book()
    one, two = (Webhook(f"h{n}", "acme", f"https://x{n}.example/", SECRET, T0) for n in (1, 2))
    for hook in (one, two):
        book.record(f"acme/{hook.webhook_id}".encode(), msgspec.json.encode(hook))
    book.record(None, b"x")
    book.record(b"acme/h3", b"nonsense")
    assert list(book.by_workspace()["acme"]) == [one, two]
    book.record(b"acme/h1", None)
    assert list(book.by_workspace()["acme"]) == [two]
    assert book.find("acme", "h1") is None
    assert book.find("acme", "h2") == two
