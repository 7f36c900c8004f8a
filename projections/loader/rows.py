"""From records to rows: which tables a record of each topic fills, and with what.

Law it keeps: the rows of a batch are a function of its records and the marks before it, so that building them again
after a crash gives the same block. Bad records of internal topics become rows of `load_errors` (house style 13).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from projections.loader import tables
from projections.loader.account_rows import add_inbox, add_ledger
from projections.loader.blocks import Blocks, Rows
from projections.loader.marks import Marks
from projections.loader.records import Record, Run
from schemas import topics
from schemas.alerts import Alert
from schemas.aside import SetAside
from schemas.entitlements import Entitlement
from schemas.errors import InvalidRecord, excerpt
from schemas.interactions import REROUTED_HEADER, TICK, decode
from schemas.mails import MailStep
from schemas.payments import PaymentRequest
from schemas.routing import interaction_key, partition_of

LOADED_TOPICS = (
    topics.INTERACTIONS, topics.REJECTED, topics.LATE, topics.INBOX, topics.LEDGER, topics.ALERTS,
    topics.ENTITLEMENTS, topics.PAYMENT_REQUESTS,
    topics.MAILS,
)  # fmt: skip
"""The topics LOADER reads, all partitions of each."""

_decode_set_aside = msgspec.json.Decoder(SetAside).decode
_decode_alert = msgspec.json.Decoder(Alert).decode
_decode_entitlement = msgspec.json.Decoder(Entitlement).decode
_decode_payment_request = msgspec.json.Decoder(PaymentRequest).decode
_decode_mail = msgspec.json.Decoder(MailStep).decode
_KEYS_REMEMBERED = 1 << 17


def build_rows(runs: Sequence[Run], marks: Marks, interaction_partitions: int) -> Rows:
    """All rows of these records; repeats by origin are dropped and counted.

    Numbers are checked once for all rows; only where one does not fit, the rows are made again with a check of each.
    """
    before = marks.copy()
    blocks = Blocks(marks, checks=False)
    _add_runs(blocks, runs, interaction_partitions)
    if blocks.fits:
        return blocks.all_rows()
    marks.restore(before)
    blocks = Blocks(marks)
    _add_runs(blocks, runs, interaction_partitions)
    return blocks.all_rows()


def _add_runs(blocks: Blocks, runs: Sequence[Run], interaction_partitions: int) -> None:
    for run in runs:
        blocks.note_appends(run)
        if run.place.topic == topics.INTERACTIONS:
            for record in run.records:
                _add_interaction(blocks, record, interaction_partitions)
        else:
            add = _ADD[run.place.topic]
            for record in run.records:
                try:
                    add(blocks, record)
                except InvalidRecord as error:
                    _add_error(blocks, record, error)
        blocks.end_run()


def _add_interaction(blocks: Blocks, record: Record, partitions: int) -> None:
    try:
        event = decode(record.value)
    except InvalidRecord:
        return  # METER rejects it, and it comes by that topic
    if event.type == TICK:
        routed = True
    else:
        place = _partition_of(event.workspace, event.app, event.channel, event.user, partitions)
        routed = place == record.partition or any(name == REROUTED_HEADER for name, _ in record.headers)
    blocks.interactions.append(
        (
            record.partition, record.offset, record.append_ms, routed, event.type, event.source, event.id,
            event.time_us, event.workspace, event.app, event.channel, event.user, event.direction, event.actor,
            event.environment, event.chars,
        )
    )  # fmt: skip


@lru_cache(maxsize=_KEYS_REMEMBERED)
def _partition_of(workspace: str, app: str, channel: str, user: str, partitions: int) -> int:
    return partition_of(interaction_key(workspace, app, channel, user), partitions)


def _add_set_aside(table: tables.Table) -> Callable[[Blocks, Record], None]:
    def add(blocks: Blocks, record: Record) -> None:
        aside = _decoded(_decode_set_aside, record)
        if blocks.marks.is_repeat(table.name, record.partition, aside.origin):
            blocks.count_repeat(record)
            return
        origin = aside.origin
        blocks.add(
            table,
            (
                record.partition, record.offset, record.append_ms, origin.topic, origin.partition, origin.offset,
                origin.index, aside.reason, aside.field, aside.value, aside.rule, aside.detail, aside.append_us,
                aside.size_bytes, aside.payload_sha256, aside.payload, aside.watermark_us, aside.time_us,
                aside.workspace, aside.app, aside.channel, aside.user, aside.source, aside.id,
            ),
        )  # fmt: skip

    return add


def _add_alert(blocks: Blocks, record: Record) -> None:
    alert = _decoded(_decode_alert, record)
    if blocks.marks.is_repeat(tables.ALERTS.name, record.partition, alert.origin):
        blocks.count_repeat(record)
        return
    origin = alert.origin
    blocks.add(
        tables.ALERTS,
        (
            record.partition, record.offset, record.append_ms, alert.alert_id, alert.workspace, alert.kind,
            alert.time_us, origin.topic, origin.partition, origin.offset, origin.index, alert.available_micros,
            alert.message, alert.threshold_micros, alert.grant_id or "", alert.app or "",
            [(one.role, one.user, one.email) for one in alert.recipients],
        ),
    )  # fmt: skip


def _add_entitlement(blocks: Blocks, record: Record) -> None:
    one: Entitlement = _decoded(_decode_entitlement, record)
    for field, limits in (("rate_limits", one.rate_limits), ("usage_limits", one.usage_limits)):
        for name, limit in limits.items():
            if not 0 <= limit < 1 << 63:
                raise InvalidRecord("invalid_field", f"{field}.{name}", excerpt(limit), "P6", "not a limit")
    if blocks.marks.is_repeat(tables.ENTITLEMENTS.name, record.partition, one.origin):
        blocks.count_repeat(record)
        return
    origin = one.origin
    blocks.add(
        tables.ENTITLEMENTS,
        (
            record.partition, record.offset, record.append_ms, origin.topic, origin.partition, origin.offset,
            origin.index, one.workspace, one.app, one.sequence, one.allowed, one.why, one.since_us, one.plan,
            one.allowed_requests, one.rate_limits, one.usage_limits, one.balance, one.average_daily_units,
            one.burn_micros, one.days_left, one.term_ends_us, one.support_plan,
            one.inactive, one.paid,
        ),
    )  # fmt: skip


def _add_payment_request(blocks: Blocks, record: Record) -> None:
    asked: PaymentRequest = _decoded(_decode_payment_request, record)
    if blocks.marks.is_repeat(tables.PAYMENT_REQUESTS.name, record.partition, asked.origin):
        blocks.count_repeat(record)
        return
    origin = asked.origin
    blocks.add(
        tables.PAYMENT_REQUESTS,
        (
            record.partition, record.offset, record.append_ms, origin.topic, origin.partition, origin.offset,
            origin.index, asked.workspace, asked.payment_id, asked.purpose, asked.subject, asked.amount_micros,
            asked.due_us, asked.requested_us, asked.sequence, asked.method or "",
        ),
    )  # fmt: skip


def _add_mail(blocks: Blocks, record: Record) -> None:
    """Steps name no origin: one told twice is loaded twice, and counted once by the view `deliveries`."""
    step = _decoded(_decode_mail, record)
    blocks.add(
        tables.MAILS,
        (
            record.partition, record.offset, record.append_ms, step.delivery_id, step.workspace, step.app or "",
            step.alert_id, step.kind, step.alert_us, step.channel, step.recipient, step.status, step.time_us,
            step.round, step.attempts, step.next_us, step.uncertain, step.message_id or "", step.detail,
        ),
    )  # fmt: skip


def _decoded(decoder: Callable[[bytes], Any], record: Record) -> Any:
    try:
        return decoder(record.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        shown = excerpt((record.value or b"")[:200].decode("utf-8", "replace"))
        raise InvalidRecord("invalid_field", "", shown, f"{record.topic} schema", str(error)) from None


def _add_error(blocks: Blocks, record: Record, error: InvalidRecord) -> None:
    blocks.add(
        tables.LOAD_ERRORS,
        (
            record.topic, record.partition, record.offset, record.append_ms, error.reason, error.field, error.value,
            error.rule, error.detail,
        ),
    )  # fmt: skip


_ADD: Mapping[str, Callable[[Blocks, Record], None]] = {
    topics.REJECTED: _add_set_aside(tables.REJECTED),
    topics.LATE: _add_set_aside(tables.LATE),
    topics.INBOX: add_inbox,
    topics.LEDGER: add_ledger,
    topics.ALERTS: _add_alert,
    topics.ENTITLEMENTS: _add_entitlement,
    topics.PAYMENT_REQUESTS: _add_payment_request,
    topics.MAILS: _add_mail,
}
