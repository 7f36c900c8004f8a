"""The mail catalogue (A1, A3): a snapshot of each mail's text, and what holds for all of them."""

from __future__ import annotations

import email
from email.policy import default as modern
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from schemas.alerts import Alert, AlertKind
from streams.mailer.deliveries import delivery_id_of
from streams.mailer.notice import Notice, Recipient, addresses, read_notice
from streams.mailer.rendering import mail_of, texts_of
from streams.mailer.wording import KINDS
from tests.mailer.notices import CATALOGUE, T0, USD, delivery, notice

SNAPSHOTS = Path(__file__).with_name("snapshots")
SENDER = "Quarterhour <alerts@quarterhour.example>"


@pytest.mark.parametrize("name", CATALOGUE)
def test_a1_each_mail_reads_as_its_snapshot(name: str) -> None:
    subject, plain, _ = texts_of(CATALOGUE[name])
    assert f"Subject: {subject}\n\n{plain}" == (SNAPSHOTS / f"{name}.txt").read_text(encoding="utf-8")


def test_a1_every_kind_of_alert_has_words_of_its_own_and_a_snapshot() -> None:
    assert set(get_args(AlertKind)) <= KINDS
    assert {given.kind for given in CATALOGUE.values()} == KINDS
    assert {path.stem for path in SNAPSHOTS.glob("*.txt")} == set(CATALOGUE)


def test_an_alert_as_the_contract_writes_it_is_read_whole() -> None:
    written = Alert("a/1", "acme", "low_balance", T0, notice().origin, 45 * USD, "Low.", threshold_micros=50 * USD)
    read = read_notice(msgspec.json.encode(written))
    held = {name: getattr(read, name) for name in Alert.__struct_fields__ if hasattr(read, name)}
    assert {name: value for name, value in held.items() if name != "recipients"} == {
        name: getattr(written, name) for name in Alert.__struct_fields__ if name in held and name != "recipients"
    }
    assert set(Alert.__struct_fields__) <= set(Notice.__struct_fields__), "a field of the contract would be passed over"


def test_an_alert_of_a_kind_yet_unknown_is_mailed_in_general_words() -> None:
    subject, plain, _ = texts_of(notice("credit_card_expiring", message="The card ends soon."))
    assert subject == "[acme] Credit card expiring"
    assert "The card ends soon." in plain


def test_a_mail_has_text_and_html_of_the_same_content_and_says_that_it_is_automatic() -> None:
    content = mail_of(delivery(CATALOGUE["app_stopped"]), SENDER, "quarterhour.example")
    message = email.message_from_bytes(content, policy=modern)
    assert message["To"] == "olga@acme.example"
    assert message["From"] == SENDER
    assert (
        message["Message-ID"]
        == f"<{delivery_id_of('acme/app_stopped/1', 'email', 'olga@acme.example')}@quarterhour.example>"
    )
    assert message["Date"] == "Thu, 01 Jan 2026 09:00:00 +0000"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "multipart/alternative"
    plain, html = (message.get_body((kind,)) for kind in ("plain", "html"))
    assert plain is not None and html is not None
    for fact in ("helper", "USD 0.00", "2026-01-01 09:00:00 UTC", "no credit"):
        assert fact in plain.get_content() and fact in html.get_content()
    assert all(len(line) <= 998 for line in content.split(b"\r\n"))


def test_html_escapes_what_comes_from_outside() -> None:
    given = notice("payment_failed", message='declined <script>alert("1")</script> & more')
    _, plain, html = texts_of(given)
    assert "<script>" not in html and "&lt;script&gt;" in html and "&amp; more" in html
    assert "<script>" in plain.replace("\n", " "), "plain text is plain"


def test_the_same_delivery_gives_the_same_bytes_however_often_it_is_tried() -> None:
    first = delivery()
    later = delivery(attempts=3, uncertain=True, changed_us=T0 + 99)
    assert mail_of(first, SENDER, "q.example") == mail_of(later, SENDER, "q.example")


def test_a3_each_address_is_told_once_whatever_its_case() -> None:
    people = tuple(
        Recipient("workspace_owner", str(n), a) for n, a in enumerate(("A@x.example", "a@X.example", "", "b@x.example"))
    )
    assert addresses(notice(recipients=people)) == ("A@x.example", "b@x.example")
