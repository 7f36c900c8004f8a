"""Logs: the JSON form is one object a line, whatever is told; every process of ours has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime

import pytest

PROGRAM = """
import logging, sys
from schemas import logs
logs.set_up("loader", sys.argv[1])
logging.getLogger("a.b").info("first\\nsecond %s", "\\u00fc")
try:
    1 / 0
except ZeroDivisionError:
    logs.tell_crash("at work")
"""


def told(form: str) -> list[str]:
    """What a process writes in this form."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, form], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_json_is_one_object_a_line_with_all_fields() -> None:
    first, crash = map(json.loads, told("json"))
    assert datetime.fromisoformat(first.pop("time")).utcoffset() is not None
    assert first.pop("pid") > 0
    assert first == {"level": "INFO", "logger": "a.b", "message": "first\nsecond \u00fc", "process": "loader"}
    assert crash["message"] == "stopping after an error (at work)"
    assert crash["exception"].endswith("ZeroDivisionError: division by zero")


def test_text_is_for_people() -> None:
    lines = told("text")
    assert " INFO a.b: first" in lines[0]
    assert "quarterhour: stopping after an error (at work)" in lines
    assert lines[-1] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    "module", ["streams.workers.meter", "streams.workers.accounts", "streams.workers.mailer", "streams.workers.clock"]
)
def test_a_worker_without_a_broker_tells_so_in_json_lines_only(module: str) -> None:
    environment = {
        **os.environ, "QUARTERHOUR_LOG_FORMAT": "json", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "QUARTERHOUR_SMTP_URL": "smtp://127.0.0.1:9",
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", module], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while True:
        try:
            _, errors = process.communicate(timeout=8)
            break
        except subprocess.TimeoutExpired as going_on:  # as Faust does
            if going_on.stderr:
                process.kill()
                _, errors = process.communicate()
                break
    whole = errors.splitlines() if errors.endswith("\n") else errors.splitlines()[:-1]
    lines = [json.loads(line) for line in whole]
    assert lines
    assert {"time", "level", "logger", "message", "process", "pid"} <= set(lines[0])
