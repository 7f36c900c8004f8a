"""The local mail catcher as a process, spoken to with nothing of ours: smtplib in, HTTP and files out."""

from __future__ import annotations

import asyncio
import json
import signal
import smtplib
import subprocess
import urllib.error
import urllib.request
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from scripts.stack.mailbox import Mailbox, command, wait_until_ready
from scripts.stack.ports import free_port


def message(number: int, workspace: str) -> EmailMessage:
    """A mail as MAILER marks them."""
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "q@q.example", f"{workspace}@x.example", f"Mail {number}"
    made["Message-ID"] = f"<m{number}@q.example>"
    made["X-Quarterhour-Workspace"], made["X-Quarterhour-Alert"] = workspace, "low_balance"
    made.set_content(f"text {number} é\n")
    return made


def get(url: str) -> Any:
    """A JSON answer."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.loads(answer.read())


def test_mails_are_kept_once_by_message_id_listed_by_workspace_and_survive_a_kill(tmp_path: Path) -> None:
    smtp, http = free_port(), free_port()
    for life in range(2):
        process = subprocess.Popen(command(tmp_path, smtp, http))
        try:
            asyncio.run(asyncio.wait_for(wait_until_ready(http), 120))
            with smtplib.SMTP("127.0.0.1", smtp, timeout=60) as client:
                for number, workspace in enumerate(("acme", "other", "acme")):
                    client.send_message(message(number, workspace))
            found = get(f"http://127.0.0.1:{http}/mails?workspace=acme")
            assert [(mail["subject"], mail["text"], mail["to"]) for mail in found] == [
                ("Mail 2", "text 2 é\n", "acme@x.example"), ("Mail 0", "text 0 é\n", "acme@x.example"),
            ], f"life {life}"  # fmt: skip
            assert len(get(f"http://127.0.0.1:{http}/mails")) == 3
            with urllib.request.urlopen(f"http://127.0.0.1:{http}/mails/{found[0]['id']}", timeout=60) as answer:
                assert b"Message-ID: <m2@q.example>" in answer.read()
            with pytest.raises(urllib.error.HTTPError, match="404"):
                get(f"http://127.0.0.1:{http}/mails/nothing")
            by_message_id = f"http://127.0.0.1:{http}/mails?message_id=%3Cm0@q.example%3E"
            assert [mail["subject"] for mail in get(by_message_id)] == ["Mail 0"]
            assert get(f"http://127.0.0.1:{http}/mails?message_id=none") == []
            process.send_signal(signal.SIGKILL if life == 0 else signal.SIGTERM)
            assert process.wait(60) == (-signal.SIGKILL if life == 0 else 0)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
    assert len(list(tmp_path.iterdir())) == 3, "no part of a message is left lying about"


def test_mails_that_come_at_once_are_listed_newest_first(tmp_path: Path) -> None:
    box = Mailbox(tmp_path)
    for number in range(50):
        assert box.keep(message(number, "acme").as_bytes())
    assert [mail.subject for mail in box.mails()] == [f"Mail {number}" for number in reversed(range(50))]


def test_an_empty_mailbox_has_no_mails_and_no_way_out_of_its_folder(tmp_path: Path) -> None:
    box = Mailbox(tmp_path / "none")
    assert box.mails() == []
    (tmp_path / "secret.eml").write_text("x")
    assert box.raw("../secret") is None
