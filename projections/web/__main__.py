"""`python -m projections.web --port N`: the composition root of the page and query API."""

from __future__ import annotations

import argparse
import sys

import uvicorn

from projections.web.application import application
from projections.web.database import Database
from schemas import logs
from schemas.catalog import DEFAULT_CATALOG, load_catalog
from schemas.errors import QuarterhourError, told_at_start
from schemas.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; 1 if it cannot."""
    parser = argparse.ArgumentParser(
        prog="python -m projections.web",
        description="Serve the Plan & Usage page and the query API, on loopback by default. People sign in where "
        "QUARTERHOUR_SIGNING_KEY is set; else whoever reaches the port sees all, and nothing can be changed.",
        epilog="example: CLICKHOUSE_URL=http://127.0.0.1:8123/quarterhour python -m projections.web --port 8080",
    )
    parser.add_argument("--port", type=int, required=True, help="TCP port, on QUARTERHOUR_BIND_ADDRESS")
    port = parser.parse_args(arguments).port
    with told_at_start():
        settings = Settings()
    logs.set_up("page", settings.log_format, "WARNING")
    if not settings.clickhouse_url:
        print("CLICKHOUSE_URL is not set", file=sys.stderr)
        return 1
    if not settings.signing_key:
        print("QUARTERHOUR_SIGNING_KEY is not set: there is no sign-in, so nothing can be changed", file=sys.stderr)
    try:
        catalog = load_catalog(settings.catalog or DEFAULT_CATALOG)
        served = application(Database(settings.clickhouse_url), catalog, settings)
    except QuarterhourError as error:
        print(error, file=sys.stderr)
        return 1
    uvicorn.run(
        served, host=settings.bind_address, port=port, log_config=None, log_level="warning", server_header=False
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
