"""`quarterhour bench reconcile`: how long the reconciliation takes on 10 M events, and how much memory.

An embedded ClickHouse is filled in SQL (`projections/sql/bench/reconcile`) with a consistent history: a fifth of the
users in one workspace, 14 events a conversation, each conversation with its session, its charge, ledger record, lines
and parts. Then `reconcile` runs as every night it would, and must find no difference. `--json` prints one object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from projections.connect import connect, ensure_database
from projections.embedded.process import command, wait_until_ready
from projections.migrate import migrate
from projections.reconcile import ROWS_PER_RANGE, reconcile
from projections.sql import read_sql
from schemas.catalog import Catalog, load_catalog
from scripts.stack.ports import free_port

EVENTS_PER_CONVERSATION = 14
WORKSPACES = 200
USERS = 59_520
_FREE_MICROS = 10**12
_FIRST_US = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
_TABLES = (
    "units", "interactions", "unit_events", "commands", "grants", "ledger_entries", "ledger_lines", "ledger_charges",
    "ledger_parts", "watermarks",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Fill, reconcile, tell; the exit code is 1 if a difference was found."""
    parser = argparse.ArgumentParser(prog="quarterhour bench reconcile", description="Measure the reconciliation.")
    parser.add_argument("--json", action="store_true", help="the last line on stdout is one JSON object")
    parser.add_argument("--events", type=int, default=10_000_000, help="events to recount (%(default)s)")
    parser.add_argument("--range", type=int, default=ROWS_PER_RANGE, help="rows compared at once (%(default)s)")
    given = parser.parse_args(arguments)
    found = measure(given.events, given.range)
    print(json.dumps(found) if given.json else json.dumps(found, indent=2), flush=True)
    return 1 if found["differences"] else 0


def measure(events: int, rows_per_range: int = ROWS_PER_RANGE) -> dict[str, Any]:
    """Seconds and the engine's memory at its highest, in a data directory of its own."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="quarterhour-bench-") as folder:
        port = free_port()
        process = subprocess.Popen(command(folder, port))
        try:
            wait_until_ready(f"http://127.0.0.1:{port}", 60)
            url = f"http://127.0.0.1:{port}/quarterhour"
            ensure_database(url)
            client = connect(url)
            migrate(client)
            filled = _fill(client, events)
            before = _memory(process.pid)
            with _Highest(process.pid) as highest:
                started = time.monotonic()
                reconciliation = reconcile(client, catalog=_catalog(), rows_per_range=rows_per_range)
                seconds = time.monotonic() - started
            client.close()
        finally:
            process.terminate()
            process.wait(60)
    return {
        "reconcile_seconds": round(seconds, 1),
        "reconcile_events_per_second": round(filled / seconds),
        "memory_before_mb": before,
        "memory_highest_mb": highest.megabytes,
        "events": filled,
        "units": reconciliation.recounted_units,
        "rows_per_range": rows_per_range,
        "differences": reconciliation.counts,
        "machine": f"{os.cpu_count()} cores, Python {sys.version.split()[0]}",
        "load_average_before": round(load, 1),
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def _fill(client: Any, events: int) -> int:
    """The whole history; how many events it has."""
    users = min(USERS, max(events // EVENTS_PER_CONVERSATION // 4 * 4, 4))
    conversations = max(events // EVENTS_PER_CONVERSATION // users, 1) * users
    parameters = {
        "users": users, "conversations": conversations, "workspaces": WORKSPACES, "first_us": _FIRST_US,
        "free_micros": _FREE_MICROS,
    }  # fmt: skip
    for name in _TABLES:
        started = time.monotonic()
        settings = {"max_partitions_per_insert_block": 0}
        client.command(read_sql(f"bench/reconcile/{name}.sql"), parameters=parameters, settings=settings)
        print(f"filled {name} in {time.monotonic() - started:.1f} s", file=sys.stderr)
    return conversations * EVENTS_PER_CONVERSATION


def _catalog() -> Catalog:
    """The shipped one, with free credit that lasts for all of it."""
    shipped = load_catalog()
    return shipped.model_copy(
        update={"free_credit": shipped.free_credit.model_copy(update={"amount_micros": _FREE_MICROS})}
    )


def _memory(pid: int) -> int:
    """What a process holds, in MB; 0 where the system does not say."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS:")), 0)


class _Highest:
    """The most memory a process held within the block, looked at ten times a second."""

    def __init__(self, pid: int) -> None:
        self.megabytes = 0
        self._pid = pid
        self._over = threading.Event()
        self._looking = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Highest:
        self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._looking.join()

    def _look(self) -> None:
        while not self._over.wait(0.1):
            self.megabytes = max(self.megabytes, _memory(self._pid))


if __name__ == "__main__":
    sys.exit(main())
