"""What a drill compares: two worlds' figures, two backups' records, and the recount in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from projections import reconcile, usage
from projections.connect import connect
from schemas.catalog import DEFAULT_CATALOG, load_catalog
from schemas.settings import Settings
from schemas.topics import (
    ACCOUNTS_CHANGELOG,
    ALERTS,
    ENTITLEMENTS,
    INBOX,
    INTERACTIONS,
    LATE,
    LEDGER,
    METER_CHANGELOG,
    PAYMENT_REQUESTS,
    REJECTED,
)
from schemas.units import Origin
from scripts.backing.format import OFFSETS_FREE, Manifest, Saved, read_records
from streams.durable.changelog import POSITION_KEY, position_of

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


class _Caused(Struct):
    origin: Origin | None = None


_STATE_OF = {METER_CHANGELOG: INTERACTIONS, ACCOUNTS_CHANGELOG: INBOX}
_CAUSED = (REJECTED, LATE, INBOX, LEDGER, ALERTS, ENTITLEMENTS, PAYMENT_REQUESTS)


def torn(folder: Path, manifest: Manifest) -> list[str]:
    """What a backup names and does not hold: a state's position or an output's origin beyond the end of its input.

    A reader would take what comes there next for a repeat (law 3), so after a restore it would be lost.
    """
    ends = {(part.topic, part.partition): part.end for part in manifest.partitions}
    decode = msgspec.json.Decoder(_Caused).decode
    wrong = []
    for part in manifest.partitions:
        input_of = _STATE_OF.get(part.topic)
        if input_of is not None:
            held = [position_of(r.value) for r in read_records(folder, part) if r.key == POSITION_KEY and r.value]
            end = ends[input_of, part.partition]
            wrong += [f"{part.topic}-{part.partition}: stands at {p} of {end}" for p in held[-1:] if p > end]
        elif part.topic in _CAUSED:
            for record in read_records(folder, part):
                origin = decode(record.value or b"{}").origin
                if origin is not None and origin.offset >= ends[origin.topic, origin.partition]:
                    where = f"{origin.topic}-{origin.partition}@{origin.offset}"
                    wrong.append(
                        f"{part.topic}-{part.partition}@{record.offset}: comes from {where}, which is not in it"
                    )
    return wrong
