"""One mail, one SMTP transaction, with aiosmtplib; TLS and authentication as the address says.

What can be told apart: whatever fails before the message itself is sent, and any answer to it, is plain. Only a line
that breaks, or stays silent, after the message is on its way leaves unknown whether it was taken.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from email.errors import MessageError
from email.headerregistry import Address
from email.utils import parseaddr
from urllib.parse import unquote, urlsplit

import aiosmtplib
from email_validator import EmailNotValidError, validate_email
from msgspec.structs import replace

from schemas.errors import ConfigurationError
from schemas.settings import Settings
from streams.mailer.deliveries import Accepted, Delivery, Failed, Outcome
from streams.mailer.outbound import BeforeHandOver
from streams.mailer.rendering import mail_of

_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is handed in. `smtp` speaks in the clear, `smtp+starttls` insists on TLS, `smtps` begins with it."""

    scheme: str
    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None

    @classmethod
    def of(cls, url: str, ca_file: str | None = None) -> SmtpServer:
        """From a setting's text; ConfigurationError that does not show the password."""
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in _PORTS or not parts.hostname or port == -1 or parts.path not in ("", "/"):
            raise ConfigurationError(
                "QUARTERHOUR_SMTP_URL: give smtp://host:port, smtp+starttls://user:password@host:port or "
                "smtps://user:password@host:port"
            )
        if parts.username and parts.scheme == "smtp" and parts.hostname not in _LOOPBACK:
            raise ConfigurationError(
                "QUARTERHOUR_SMTP_URL: a password would cross the network in the clear; use smtp+starttls or smtps"
            )
        user, password = (None if part is None else unquote(part) for part in (parts.username, parts.password))
        return cls(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], user, password, ca_file)


def sender_domain(sender: str) -> str:
    """The domain of `address` or `Name <address>`; ConfigurationError if it is none."""
    address = parseaddr(sender)[1]
    try:
        return Address(addr_spec=address).domain or _no_sender(sender)
    except (ValueError, IndexError):
        return _no_sender(sender)


def _no_sender(sender: str) -> str:
    raise ConfigurationError(f"QUARTERHOUR_MAIL_FROM={sender!r}: give an address, or `Name <address>`")


class SmtpCarrier:
    """Hands mails to one server."""

    def __init__(self, server: SmtpServer, sender: str, timeout_seconds: float) -> None:
        self._server, self._sender, self._timeout = server, sender, timeout_seconds
        self._domain = sender_domain(sender)
        self._tls = ssl.create_default_context(cafile=server.ca_file) if server.scheme != "smtp" else None

    @classmethod
    def of(cls, settings: Settings) -> SmtpCarrier:
        """The carrier under the settings."""
        ca_file = None if settings.smtp_ca_file is None else str(settings.smtp_ca_file)
        server = SmtpServer.of(settings.smtp_url, ca_file)
        return cls(server, settings.mail_from, settings.mail_timeout_seconds)

    async def carry(self, delivery: Delivery, before_hand_over: BeforeHandOver) -> Outcome:
        """See `Carrier.carry`."""
        try:
            found = validate_email(
                delivery.recipient, check_deliverability=False, globally_deliverable=False, allow_smtputf8=False
            )
            address = found.ascii_email or found.normalized
            mail = mail_of(replace(delivery, recipient=address), self._sender, self._domain)
        except (EmailNotValidError, MessageError, ValueError, IndexError) as error:
            return Failed(f"{delivery.recipient!r} is no address to send to: {error}", "bad_address")
        client = self._client()
        try:
            refused = await self._introduce(client, address)
            if refused is not None:
                return refused
            await before_hand_over()
            return await self._hand_over(client, mail)
        finally:
            client.close()

    def _client(self) -> aiosmtplib.SMTP:
        server = self._server
        return aiosmtplib.SMTP(
            hostname=server.host, port=server.port, username=server.user, password=server.password,
            local_hostname=self._domain, timeout=self._timeout, use_tls=server.scheme == "smtps",
            start_tls=server.scheme == "smtp+starttls", tls_context=self._tls,
        )  # fmt: skip

    async def _introduce(self, client: aiosmtplib.SMTP, address: str) -> Failed | None:
        """Everything before the message. Only what is said of sender or recipient is about this mail."""
        try:
            await client.connect()
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            return Failed(_said(error))
        try:
            await client.mail(parseaddr(self._sender)[1])
            await client.rcpt(address)
        except aiosmtplib.SMTPRecipientRefused as error:
            return Failed(_said(error), "bad_address" if error.code >= 500 else None)
        except aiosmtplib.SMTPSenderRefused as error:
            return Failed(_said(error), "refused" if error.code >= 500 else None)
        except (aiosmtplib.SMTPException, OSError) as error:
            return Failed(_said(error))
        return None

    async def _hand_over(self, client: aiosmtplib.SMTP, mail: bytes) -> Outcome:
        try:
            answer = await client.data(mail)
        except aiosmtplib.SMTPDataError as error:
            return Failed(_said(error), "refused" if error.code >= 500 else None)
        except (aiosmtplib.SMTPException, OSError) as error:
            return Failed(_said(error), uncertain=True)
        return Accepted(f"{answer.code} {answer.message}")


def _said(error: BaseException) -> str:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"{error.code} {error.message}"
    return f"{type(error).__name__}: {error}"
