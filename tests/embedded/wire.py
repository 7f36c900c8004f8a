"""HTTP by hand, for what a client library hides."""

from __future__ import annotations

import http.client
import subprocess
import time
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def ask(
    url: str,
    body: bytes | str = b"",
    method: str = "POST",
    headers: dict[str, str] | None = None,
    **parameters: object,
) -> Reply:
    """One request; header names of the reply in lower case."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
    try:
        target = (parts.path or "/") + "?" + "&".join(part for part in (parts.query, urlencode(parameters)) if part)
        data = body.encode() if isinstance(body, str) else body
        connection.request(method, target, data if method == "POST" else None, headers or {})
        answer = connection.getresponse()
        fields = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, fields, answer.read())
    finally:
        connection.close()


def runs(url: str, alias: str, count: int) -> bool:
    """Whether so many queries that name a column `AS alias` come to run at once, within a minute."""
    deadline = time.monotonic() + 60
    running = f"SELECT count() FROM system.processes WHERE position(query, concat('AS ', '{alias}')) > 0"
    while ask(url, running).text != f"{count}\n":
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def curl(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["curl", "-sS", *arguments], input=data, capture_output=True, timeout=120, check=False)
