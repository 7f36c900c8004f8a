"""The mail side of the local stack: the catcher, unless a mail server is given, and MAILER itself."""

from __future__ import annotations

import sys
from pathlib import Path

from schemas.settings import Settings
from scripts.stack import mailbox
from scripts.stack.home import METRICS
from scripts.stack.ports import free_port, given_or_free
from scripts.stack.process import ProcessSpec

MAILER, MAILBOX, SMTP = "mailer", "mailbox", "smtp"


def open_mail(settings: Settings, directory: Path) -> tuple[list[ProcessSpec], dict[str, str]]:
    """The processes, in start order, and their addresses by name; caught mails are kept in `directory`."""
    specs: list[ProcessSpec] = []
    metrics_port = free_port()
    addresses = {f"{MAILER}{METRICS}": f"http://127.0.0.1:{metrics_port}/metrics"}
    if not settings.smtp_url:
        smtp_port = given_or_free(settings.mail_port, "the mail catcher", "QUARTERHOUR_MAIL_PORT")
        http_port = free_port()
        settings = settings.model_copy(update={"smtp_url": f"smtp://127.0.0.1:{smtp_port}"})
        addresses |= {SMTP: f"127.0.0.1:{smtp_port}", MAILBOX: f"http://127.0.0.1:{http_port}/mails"}

        async def ready() -> None:
            await mailbox.wait_until_ready(http_port)

        specs.append(ProcessSpec(MAILBOX, mailbox.command(directory, smtp_port, http_port), ready=ready))
    own = settings.model_copy(update={"metrics_port": metrics_port, "bind_address": "127.0.0.1"})
    specs.append(ProcessSpec(MAILER, [sys.executable, "-m", "streams.workers.mailer"], own.environment()))
    return specs, addresses
