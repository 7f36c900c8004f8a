"""What a drill compares: two worlds' figures, two backups' records, and the recount in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from projections import reconcile, usage
from projections.connect import connect
from schemas.catalog import DEFAULT_CATALOG, load_catalog
from schemas.settings import Settings
from scripts.backing.format import OFFSETS_FREE, Manifest, Saved, read_records

Figures = dict[str, object]


def figures(settings: Settings) -> Figures:
    """What no disaster may change: units by user and day, balances, sums."""
    client = connect(settings.clickhouse_url)
    try:
        found: Figures = {"summary": usage.summary(client)}
        found |= {f"{u.workspace}/{u.user}": u for u in usage.units_by_user(client)}
        found |= {f"{d.workspace}, {d.day}, {d.unit}": d for d in usage.units_by_day(client)}
        for b in usage.balances(client):
            found[b.workspace] = (b.free_micros, b.paid_shared_micros, b.paid_apps_micros, b.due_micros)
        return found
    finally:
        client.close()


def differences(expected: Figures, found: Figures) -> Iterator[str]:
    """Each figure that is not the same."""
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            yield f"{name}: {found.get(name)} instead of {expected.get(name)}"


def reconciled(settings: Settings) -> list[str]:
    """What the recount in SQL finds, by check."""
    client = connect(settings.clickhouse_url)
    try:
        catalog = load_catalog(settings.catalog or DEFAULT_CATALOG)
        spans = reconcile.Spans(lateness_us=settings.allowed_lateness_us)
        found = reconcile.reconcile(client, spans, catalog)
        return [f"{check}: {count:,}" for check, count in found.counts.items() if count]
    finally:
        client.close()


def compared(folder: Path, manifest: Manifest, again: Path, found: Manifest) -> list[str]:
    """Where two backups differ, the offsets of topics that move together left out."""
    wrong = []
    for one, other in zip(manifest.partitions, found.partitions, strict=True):
        assert (one.topic, one.partition) == (other.topic, other.partition)
        free = one.topic in OFFSETS_FREE
        before, after = ([_seen(r, free) for r in read_records(f, p)] for f, p in ((folder, one), (again, other)))
        if before != after:
            wrong.append(f"{one.topic}-{one.partition}: {len(after):,} records that are not the {len(before):,} saved")
        elif not free and one.end != other.end:
            wrong.append(f"{one.topic}-{one.partition}: ends at {other.end} instead of {one.end}")
    return wrong


def _seen(record: Saved, is_free: bool) -> tuple[object, ...]:
    return (0 if is_free else record.offset, record.timestamp_ms, record.key, record.value, record.headers)
