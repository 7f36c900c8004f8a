"""A delivery to the bytes of its mail: plain text and HTML. The same delivery gives the same bytes at every attempt."""

from __future__ import annotations

import textwrap
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from schemas.instants import datetime_of, text_of
from streams.mailer.deliveries import Delivery, message_id
from streams.mailer.notice import Notice
from streams.mailer.wording import content_of

WORKSPACE_HEADER = "X-Quarterhour-Workspace"
KIND_HEADER = "X-Quarterhour-Alert"

_LINE = 72


def _fill(text: str) -> str:
    return textwrap.fill(text, _LINE, break_long_words=False, break_on_hyphens=False)


_templates = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    keep_trailing_newline=True,
)
_templates.filters["fill"] = _fill


def texts_of(notice: Notice) -> tuple[str, str, str]:
    """Subject, plain text and HTML of the mail about an alert."""
    content = content_of(notice)
    values = {
        "headline": content.headline,
        "message": content.message,
        "facts": content.facts,
        "width": max(len(label) for label, _ in content.facts),
        "advice": content.advice,
        "workspace": notice.workspace,
        "app": notice.app,
    }
    plain, html = (_templates.get_template(name).render(values) for name in ("mail.txt", "mail.html"))
    return content.subject, plain, html


def mail_of(delivery: Delivery, sender: str, domain: str) -> bytes:
    """The message, RFC 5322. `sender` is `address` or `Name <address>`; ValueError for an address that is none."""
    subject, plain, html = texts_of(delivery.notice)
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = Address(addr_spec=delivery.recipient)
    message["Subject"] = subject
    message["Date"] = format_datetime(datetime_of(delivery.planned_us))
    message["Message-ID"] = message_id(delivery, domain)
    message["Auto-Submitted"] = "auto-generated"
    message[WORKSPACE_HEADER] = delivery.notice.workspace
    message[KIND_HEADER] = delivery.notice.kind
    message.set_content(plain, cte="quoted-printable")
    message.add_alternative(html, subtype="html", cte="quoted-printable")
    message.set_boundary(f"=_{delivery.delivery_id}")
    return message.as_bytes()


def webhook_body(delivery: Delivery) -> bytes:
    """The JSON a webhook is posted: type, timestamp, and the alert without its recipients."""
    notice = delivery.notice
    data = msgspec.to_builtins(notice)
    data.pop("recipients", None)
    return msgspec.json.encode({"type": f"alert.{notice.kind}", "timestamp": text_of(notice.time_us), "data": data})
