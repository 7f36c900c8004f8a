"""`python -m streams.doors.ingest --port N`: the composition root of the HTTP ingest."""

from __future__ import annotations

import argparse
import asyncio
import sys

import uvicorn

from schemas import logs
from schemas.admission import admitted
from schemas.errors import told_at_start
from schemas.settings import Settings
from schemas.tracing import new_tracer
from streams.doors.ingest.application import application
from streams.doors.ingest.backend import KafkaBackend


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; 1 if it cannot."""
    parser = argparse.ArgumentParser(
        prog="python -m streams.doors.ingest",
        description="Take CloudEvents over HTTP, answered after Kafka's acknowledgement.",
        epilog="example: KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092 python -m streams.doors.ingest --port 8090",
    )
    parser.add_argument("--port", type=int, required=True, help="TCP port, on QUARTERHOUR_BIND_ADDRESS")
    port = parser.parse_args(arguments).port
    with told_at_start():
        settings = Settings()
        logs.set_up("ingest", settings.log_format, "WARNING")
        asyncio.run(admitted(settings.named_kafka()))
    tracer = new_tracer("ingest", settings)
    served = application(KafkaBackend(settings), settings.ingest_in_flight_bytes, tracer)
    uvicorn.run(
        served, host=settings.bind_address, port=port, log_config=None, access_log=False, server_header=False,
        timeout_graceful_shutdown=15,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
