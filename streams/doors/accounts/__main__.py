"""`python -m streams.doors.accounts --port N`: the composition root of the account API."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

import uvicorn

from schemas import logs
from schemas.admission import admitted
from schemas.errors import QuarterhourError
from schemas.settings import Settings
from streams.doors.accounts.application import application
from streams.requests.requests import Requests


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; 1 if it cannot."""
    parser = argparse.ArgumentParser(
        prog="python -m streams.doors.accounts",
        description="Serve the account API, on loopback by default. It needs QUARTERHOUR_SIGNING_KEY.",
        epilog="example: KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092 python -m streams.doors.accounts --port 8081",
    )
    parser.add_argument("--port", type=int, required=True, help="TCP port, on QUARTERHOUR_BIND_ADDRESS")
    port = parser.parse_args(arguments).port
    try:
        settings = Settings()
        logs.set_up("accounts-api", settings.log_format, "WARNING")
        asyncio.run(admitted(settings.named_kafka()))
        requests = Requests(settings, f"quarterhour-accounts-api-{os.getpid()}", settings.answer_seconds)
        served = application(requests, settings.signing_key)
    except QuarterhourError as error:
        print(error, file=sys.stderr)
        return 1
    uvicorn.run(
        served, host=settings.bind_address, port=port, log_config=None, log_level="warning", server_header=False
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
