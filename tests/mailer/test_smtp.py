"""Handing mails to real SMTP servers, good ones and bad ones: what is taken, refused, tried again, uncertain."""

from __future__ import annotations

import email
import ssl
from email.policy import default as modern
from pathlib import Path

import pytest

from schemas.errors import ConfigurationError
from scripts.stack.mailbox import Mailbox
from scripts.stack.ports import free_port
from streams.mailer.deliveries import Accepted, Delivery, Failed, Outcome
from streams.mailer.smtp import SmtpCarrier, SmtpServer, sender_domain
from tests.mailer.notices import delivery, notice
from tests.mailer.servers import Badly, authenticator, make_certificate, smtp_server

SENDER = "Quarterhour <alerts@quarterhour.example>"


async def carry(
    url: str, given: Delivery | None = None, *, ca_file: Path | None = None, seconds: float = 60
) -> tuple[Outcome, int]:
    """The outcome, and how often the hand-over was announced."""
    announced = 0

    async def before() -> None:
        nonlocal announced
        announced += 1

    server = SmtpServer.of(url, None if ca_file is None else str(ca_file))
    outcome = await SmtpCarrier(server, SENDER, seconds).carry(given or delivery(), before)
    return outcome, announced


async def test_a_mail_arrives_whole() -> None:
    handler = Badly()
    async with smtp_server(handler) as address:
        outcome, announced = await carry(f"smtp://{address}", delivery(notice(message=".leading dot\nand é")))
    assert isinstance(outcome, Accepted)
    assert announced == 1
    (content,) = handler.taken
    message = email.message_from_bytes(content, policy=modern)
    assert message["To"] == "olga@acme.example"
    plain = message.get_body(("plain",))
    assert plain is not None and ".leading dot and é" in plain.get_content()


async def test_a_domain_in_another_script_is_spelled_as_mail_servers_know_it() -> None:
    handler = Badly()
    async with smtp_server(handler) as address:
        outcome, _ = await carry(f"smtp://{address}", delivery(recipient="olga@bücher.example"))
    assert isinstance(outcome, Accepted)
    message = email.message_from_bytes(handler.taken[0], policy=modern)
    assert message["To"] == "olga@xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("rcpt", "final"), [("550 5.1.1 no such user", "bad_address"), ("450 4.2.0 greylisted", None), ("drop", None)]
)
async def test_what_fails_at_the_recipient_was_never_handed_over(rcpt: str, final: str | None) -> None:
    handler = Badly()
    handler.at_rcpt = [rcpt]
    async with smtp_server(handler) as address:
        outcome, announced = await carry(f"smtp://{address}")
    assert isinstance(outcome, Failed)
    assert (outcome.final, outcome.uncertain, announced) == (final, False, 0)
    assert rcpt == "drop" or outcome.detail.startswith(rcpt[:3])


@pytest.mark.parametrize(("data", "final"), [("554 5.7.1 spam", "refused"), ("452 4.3.1 disk full", None)])
async def test_an_answer_to_the_message_is_plain(data: str, final: str | None) -> None:
    handler = Badly()
    handler.at_data = [data]
    async with smtp_server(handler) as address:
        outcome, announced = await carry(f"smtp://{address}")
    assert isinstance(outcome, Failed)
    assert (outcome.final, outcome.uncertain, announced) == (final, False, 1)


@pytest.mark.parametrize("after", ["drop", "hang"])
async def test_no_answer_to_the_message_is_uncertain_and_the_repeat_is_the_same_message(
    after: str, tmp_path: Path
) -> None:
    handler = Badly(Mailbox(tmp_path))
    handler.after_data = [after]
    async with smtp_server(handler) as address:
        outcome, _ = await carry(f"smtp://{address}", seconds=2 if after == "hang" else 60)
        assert isinstance(outcome, Failed)
        assert (outcome.final, outcome.uncertain) == (None, True)
        assert isinstance((await carry(f"smtp://{address}"))[0], Accepted)
    assert len(handler.taken) == 2 and handler.taken[0] == handler.taken[1]
    assert len(handler.mailbox.mails() if handler.mailbox else []) == 1, "a store that drops repeats shows one"


async def test_a_server_that_is_down_or_silent_or_no_mail_server_is_tried_again() -> None:
    outcome, announced = await carry(f"smtp://127.0.0.1:{free_port()}")
    assert isinstance(outcome, Failed)
    assert (outcome.final, outcome.uncertain, announced) == (None, False, 0)
    handler = Badly()
    handler.at_rcpt = ["hang"]
    async with smtp_server(handler) as address:
        silent, _ = await carry(f"smtp://{address}", seconds=0.3)
    assert isinstance(silent, Failed)
    assert (silent.final, silent.uncertain) == (None, False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
async def test_tls_and_a_password(scheme: str, certificate: tuple[Path, ssl.SSLContext]) -> None:
    ca_file, context = certificate
    options = {"implicit_tls": context} if scheme == "smtps" else {"tls_context": context, "require_starttls": True}
    handler = Badly()
    allowed = authenticator("mailer", "p@ss/word")
    # aiosmtpd does not see that the line was secure from the start.
    plain_ok = scheme == "smtp+starttls"
    async with smtp_server(
        handler, authenticator=allowed, auth_required=True, auth_require_tls=plain_ok, **options
    ) as address:
        good, _ = await carry(f"{scheme}://mailer:p%40ss%2Fword@{address}", ca_file=ca_file)
        assert isinstance(good, Accepted)
        wrong, announced = await carry(f"{scheme}://mailer:guess@{address}", ca_file=ca_file)
        assert isinstance(wrong, Failed)
        assert (wrong.final, announced) == (None, 0), "the server's settings are at fault, not the mail"
        assert "guess" not in wrong.detail
        distrusted, _ = await carry(f"{scheme}://mailer:p%40ss%2Fword@{address}")
        assert isinstance(distrusted, Failed), "an unknown certificate is not accepted"
    assert len(handler.taken) == 1


async def test_a_server_without_tls_gets_no_password_where_tls_is_asked_for() -> None:
    handler = Badly()
    async with smtp_server(handler) as address:
        outcome, announced = await carry(f"smtp+starttls://mailer:secret@{address}")
    assert isinstance(outcome, Failed)
    assert (outcome.final, announced, handler.taken) == (None, 0, [])


@pytest.mark.parametrize(
    "recipient", ["olga", "a b@x.example", "a@x.example\r\nBcc: b@x.example", "", "a@", "jörg@x.example"]
)
async def test_what_is_no_address_is_a_dead_end_without_a_connection(recipient: str) -> None:
    outcome, announced = await carry("smtp://127.0.0.1:9", delivery(recipient=recipient))
    assert isinstance(outcome, Failed)
    assert (outcome.final, announced) == ("bad_address", 0)


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:25", "http://x:25", "smtp://", "smtp://x:port", "smtp://u:p@mail.example:25", "smtp://x/y"]
)
def test_a_wrong_server_setting_is_refused_and_shows_no_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="QUARTERHOUR_SMTP_URL") as caught:
        SmtpServer.of(url)
    assert "u:p@" not in str(caught.value)
    assert "secret" not in repr(SmtpServer.of("smtps://u:secret@mail.example"))


@pytest.mark.parametrize("sender", ["", "nobody", "Name <>", "a@b@c"])
def test_a_wrong_sender_is_refused(sender: str) -> None:
    with pytest.raises(ConfigurationError, match="QUARTERHOUR_MAIL_FROM"):
        sender_domain(sender)
