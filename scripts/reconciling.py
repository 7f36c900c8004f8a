"""Reconciling beside live traffic: what was on its way is told from what differs; and once in so many hours."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from types import FrameType
from typing import NoReturn

from clickhouse_connect.driver.client import Client
from rich.console import Console

from projections import reconcile
from projections.connect import connect
from projections.reconcile import MOST_LISTED, Difference, Reconciliation
from schemas.catalog import DEFAULT_CATALOG, Catalog, load_catalog
from schemas.errors import ConfigurationError
from schemas.settings import Settings
from scripts.commands import progress_on, spans_of

LONGEST_NAP_SECONDS = 600.0
Compare = Callable[[], Reconciliation]


def standing(first: Reconciliation, second: Reconciliation) -> Reconciliation:
    """What differed the same both times. What was on its way the first time has arrived, or is another figure by now.

    Of a check with more differences than are listed, the smaller count of both stands, since not all can be compared.
    """
    before = {_figures(one) for one in first.differences}
    listed = tuple(one for one in second.differences if _figures(one) in before)
    counts = Counter(one.check for one in listed)
    for check in first.counts.keys() & second.counts.keys():
        least = min(first.counts[check], second.counts[check])
        if least > MOST_LISTED:
            counts[check] = least
    return Reconciliation(second.recounted_units, dict(counts), listed)


def _figures(one: Difference) -> tuple[str, str, str, str, int, int]:
    return one.check, one.workspace, one.key, one.day, one.expected, one.found


def settled(compare: Compare, again_after_seconds: int | None, say: Callable[[str], None]) -> Reconciliation:
    """What differs; with `again_after_seconds`, what still differs the same by then."""
    found = compare()
    if not found.is_clean and again_after_seconds is not None:
        total = sum(found.counts.values())
        say(f"{total:,} differences; looking again in {again_after_seconds} s, since some may be on their way")
        time.sleep(again_after_seconds)
        found = standing(found, compare())
    return found


def reconciled(
    client: Client, settings: Settings, catalog: Catalog, console: Console, again_after_seconds: int | None
) -> Reconciliation:
    """The reconciliation with a progress bar; what it found (see `settled`) is remembered."""
    started = time.monotonic()

    def compare() -> Reconciliation:
        with progress_on(console) as progress:
            bar = progress.add_task("ranges of workspaces", total=None)
            return reconcile.reconcile(
                client,
                spans_of(settings),
                catalog,
                tell=lambda done, of: progress.update(bar, completed=done, total=of),
            )

    found = settled(compare, again_after_seconds, console.print)
    reconcile.record(client, found, time.monotonic() - started)
    return found


def due_in_seconds(newest: float | None, now: float, hours: int) -> float:
    """How long until the next one is due; `newest`: when the last one finished, both in seconds since 1970."""
    return 0.0 if newest is None else max(0.0, newest + hours * 3600 - now)


def reconcile_every(hours: int, settings: Settings, console: Console, again_after_seconds: int | None) -> NoReturn:
    """Reconcile whenever it is due, until SIGTERM, counted from the newest reconciliation there is, whoever made it.

    Differences are told and remembered, and end nothing. Raises ClickHouseUnavailable while ClickHouse is away: whoever
    runs this starts it again.
    """
    if not settings.clickhouse_url:
        raise ConfigurationError("CLICKHOUSE_URL is not set: name the ClickHouse that is to be reconciled for ever")
    signal.signal(signal.SIGTERM, _stop)
    catalog = load_catalog(settings.catalog or DEFAULT_CATALOG)
    while True:
        with closing(connect(settings.clickhouse_url)) as client:
            due = due_in_seconds(reconcile.newest(client), time.time(), hours)
            if due == 0:
                found = reconciled(client, settings, catalog, console, again_after_seconds)
                console.print(reconcile.format(found))
        time.sleep(min(due, LONGEST_NAP_SECONDS))


def _stop(number: int, frame: FrameType | None) -> None:
    sys.exit(0)
