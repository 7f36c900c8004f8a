"""The text of mails that the local stack's catcher holds. What a mail server took is not kept, so it has none to show.

A message is somebody else's content: its texts are given as they are, and whoever shows them keeps them harmless.
"""

from __future__ import annotations

from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as modern
from urllib.parse import quote

import httpx

from schemas.errors import QuarterhourError

_TIMEOUT_SECONDS = 5


class CatcherAway(QuarterhourError):
    """The catcher does not answer, or not as one."""


@dataclass(frozen=True, slots=True)
class CaughtMail:
    """A message: its headers as people read them, the plain text and the HTML; empty where it has none."""

    sender: str
    to: str
    subject: str
    date: str
    text: str
    html: str


class Catcher:
    """Asks the catcher at `address`, such as `http://127.0.0.1:8025/mails`; without an address there is none."""

    def __init__(self, address: str, transport: httpx.BaseTransport | None = None) -> None:
        self._address = address.rstrip("/")
        self._client = httpx.Client(timeout=_TIMEOUT_SECONDS, transport=transport, trust_env=False) if address else None

    @property
    def is_there(self) -> bool:
        """Whether mails are caught here at all."""
        return self._client is not None

    def mail(self, message_id: str) -> CaughtMail | None:
        """The message of that Message-ID; None if it was not caught. Raises CatcherAway."""
        if self._client is None or not message_id:
            return None
        try:
            listed = self._client.get(self._address, params={"message_id": message_id}).raise_for_status().json()
            if not listed:
                return None
            found = self._client.get(f"{self._address}/{quote(str(listed[0]['id']), safe='')}").raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError) as error:
            raise CatcherAway(f"The mail catcher at {self._address} does not answer.") from error
        return read(found.content)


def read(content: bytes) -> CaughtMail:
    """A message taken apart; never fails, whatever it is."""
    try:
        message = message_from_bytes(content, policy=modern)
    except Exception:  # the library's parser fails on some headers, in many ways
        return CaughtMail("", "", "", "", content.decode("utf-8", "replace").replace("\r\n", "\n"), "")
    sender, to, subject, date = (_header(message, name) for name in ("From", "To", "Subject", "Date"))
    return CaughtMail(sender, to, subject, date, _part(message, "plain"), _part(message, "html"))


def _header(message: EmailMessage, name: str) -> str:
    """As people read it; as it stands there where the library cannot read it."""
    try:
        return _shown(str(message[name] or ""))
    except Exception:  # the library's header parser fails on what is no header, in many ways
        return _shown(next((str(value) for key, value in message.raw_items() if key.lower() == name.lower()), ""))


def _shown(text: str) -> str:
    """Without the marks of bytes that are no text."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _part(message: EmailMessage, kind: str) -> str:
    try:
        part = message.get_body((kind,))
        return "" if part is None else _shown(str(part.get_content())).replace("\r\n", "\n")
    except Exception:  # a charset, a header or a structure that the library cannot read
        return ""
