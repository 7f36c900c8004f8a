"""The steps of mail and webhook deliveries in ClickHouse: all of them, and each delivery as it stands now."""

from __future__ import annotations

import msgspec
import pytest
from clickhouse_connect.driver.client import Client

from projections.web.caught import read
from schemas.mails import DeliveryStatus, MailStep
from schemas.topics import MAILS
from tests.projections.fake_source import Log
from tests.projections.loading import load_all
from tests.projections.small_world import EVE


def step(delivery: str, status: DeliveryStatus, at: int, attempts: int, round_: int = 1) -> bytes:
    """One step, some seconds after the turn of the year."""
    return msgspec.json.encode(
        MailStep(
            delivery, "acme", f"alert-{delivery}", "low_balance", "email", f"{delivery}@acme.example", status,
            EVE + at * 1_000_000, EVE, None, round_, attempts, detail=f"step {at}",
        )
    )  # fmt: skip


async def test_a_delivery_stands_as_its_latest_step_says_and_a_step_told_twice_is_one(client: Client) -> None:
    log = Log()
    for value in (
        step("d1", "planned", 0, 0), step("d1", "retrying", 1, 1), step("d2", "planned", 1, 0),
        step("d1", "sent", 2, 2), step("d1", "sent", 2, 2), step("d2", "dead", 3, 1),
        step("d3", "planned", 3, 0), step("d2", "planned", 4, 0, 2),
        b"nonsense",
    ):  # fmt: skip
        log.append(MAILS, 0, value)
    await load_all(client, log)
    assert client.query("SELECT count() FROM mails").first_row[0] == 8
    found = client.query(
        "SELECT delivery_id, status, round, attempts, detail, recipient FROM deliveries ORDER BY delivery_id"
    )
    assert found.result_rows == [
        ("d1", "sent", 1, 2, "step 2", "d1@acme.example"),
        ("d2", "planned", 2, 0, "step 4", "d2@acme.example"),
        ("d3", "planned", 1, 0, "step 3", "d3@acme.example"),
    ]
    assert client.query("SELECT topic FROM load_errors").result_rows == [(MAILS,)]


@pytest.mark.parametrize("header", [b"From: a@", b"To: <a@b> [;b", b"Date: Mn, 0[", b"From: a@\xff", b"From: b;a@"])
def test_a_message_that_the_parser_fails_on_is_read_all_the_same(header: bytes) -> None:
    mail = read(header + b"\r\nSubject: low\r\nContent-Type: text/plain; charset=nobody-knows\r\n\r\nYour balance\r\n")
    assert mail.subject == "low"
    assert all(text.encode("utf-8").decode("utf-8") == text for text in (mail.sender, mail.to, mail.date, mail.text))
