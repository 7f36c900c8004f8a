"""`python -m projections.web --port N`: the composition root of the page and query API."""

from __future__ import annotations

import argparse
import sys

import uvicorn

from projections.web.application import application
from projections.web.database import Database
from schemas.catalog import DEFAULT_CATALOG, load_catalog
from schemas.errors import QuarterhourError
from schemas.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; 1 if it cannot."""
    parser = argparse.ArgumentParser(
        prog="python -m projections.web",
        description="Serve the Plan & Usage page and the query API, on loopback by default. There is no sign-in.",
        epilog="example: CLICKHOUSE_URL=http://127.0.0.1:8123/quarterhour python -m projections.web --port 8080",
    )
    parser.add_argument("--port", type=int, required=True, help="TCP port, on QUARTERHOUR_BIND_ADDRESS")
    port = parser.parse_args(arguments).port
    settings = Settings()
    if not settings.clickhouse_url:
        print("CLICKHOUSE_URL is not set", file=sys.stderr)
        return 1
    try:
        served = application(Database(settings.clickhouse_url), load_catalog(settings.catalog or DEFAULT_CATALOG))
    except QuarterhourError as error:
        print(error, file=sys.stderr)
        return 1
    uvicorn.run(served, host=settings.bind_address, port=port, log_level="warning", server_header=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
