"""The tables the loader fills, the columns it gives each, and what identifies a row.

Types are not repeated here: they are read from ClickHouse when the loader starts.
"""

from __future__ import annotations

from dataclasses import dataclass

_AT = ("kafka_partition", "kafka_offset", "kafka_append")
_POSITION = ("kafka_partition", "kafka_offset")
_ORIGIN = ("origin_topic", "origin_partition", "origin_offset", "origin_index")
_SET_ASIDE = (
    *_AT, *_ORIGIN, "reason", "field", "value", "rule", "detail", "append", "size_bytes", "payload_sha256", "payload",
    "watermark", "time", "workspace", "app", "channel", "user", "source", "id",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """A loaded table. `identity`: the columns no two rows share (the standing check)."""

    name: str
    columns: tuple[str, ...]
    identity: tuple[str, ...] = _POSITION


INTERACTIONS = Table(
    "interactions",
    (
        *_AT, "routed", "type", "source", "id", "time", "workspace", "app", "channel", "user", "direction", "actor",
        "environment", "chars",
    ),
)  # fmt: skip
REJECTED = Table("rejected", _SET_ASIDE)
LATE = Table("late", _SET_ASIDE)
UNIT_EVENTS = Table(
    "unit_events",
    (
        *_AT, *_ORIGIN, "unit_id", "kind", "change", "revision", "workspace", "app", "channel", "user", "environment",
        "start", "billable", "delta", "billable_delta", "conversation_id", "last", "inbound", "outbound",
    ),
)  # fmt: skip
WATERMARKS = Table("watermarks", (*_AT, *_ORIGIN, "source_partitions", "now", "complete", "outcomes"))
COMMANDS = Table(
    "commands",
    (*_AT, "command_id", "workspace", "time", "actor_role", "actor_name", "kind", "amount_micros", "body"),
)
LEDGER_ENTRIES = Table(
    "ledger_entries",
    (
        *_AT, "workspace", "sequence", "kind", "time", *_ORIGIN, "cause", "free_micros", "paid_shared_micros",
        "paid_apps_micros", "due_micros", "previous_hash", "hash", "intact", "actor", "note",
    ),
)  # fmt: skip
LEDGER_LINES = Table(
    "ledger_lines",
    (
        *_POSITION, "line_index", "workspace", "sequence", "kind", "time", "account", "amount_micros",
        "balance_micros", "app", "channel", "unit_id", "unit_kind",
    ),
    (*_POSITION, "line_index"),
)  # fmt: skip
LEDGER_CHARGES = Table(
    "ledger_charges",
    (
        *_POSITION, "charge_index", "workspace", "sequence", "kind", "sign", "unit_id", "unit_kind", "app", "channel",
        "start", "price_micros", "plan", "covered", "pool",
    ),
    (*_POSITION, "charge_index"),
)  # fmt: skip
LEDGER_PARTS = Table(
    "ledger_parts",
    (
        *_POSITION, "part_index", "workspace", "sequence", "time", "what", "account", "amount_micros", "app", "channel",
        "unit_kind", "unit_id", "start", "units",
    ),
    (*_POSITION, "part_index"),
)  # fmt: skip
GRANTS = Table(
    "grants",
    (*_POSITION, "grant_index", "workspace", "sequence", "grant_id", "credit", "amount_micros", "granted", "expires",
     "app", "moved"),
    (*_POSITION, "grant_index"),
)  # fmt: skip
LEDGER_CHANGES = Table(
    "ledger_changes",
    (
        *_POSITION, "change_index", "workspace", "sequence", "time", "change", "app", "user", "subject", "from",
        "until", "body",
    ),
    (*_POSITION, "change_index"),
)  # fmt: skip
ENTITLEMENTS = Table(
    "entitlements",
    (
        *_AT, *_ORIGIN, "workspace", "app", "sequence", "allowed", "why", "since", "plan", "allowed_requests",
        "rate_limits", "usage_limits", "balance", "average_daily_units", "burn_micros", "days_left", "term_ends",
        "support_plan", "inactive", "paid",
    ),
)  # fmt: skip
PAYMENT_REQUESTS = Table(
    "payment_requests",
    (
        *_AT, *_ORIGIN, "workspace", "payment_id", "purpose", "subject", "amount_micros", "due", "requested",
        "sequence", "method",
    ),
)  # fmt: skip
ALERTS = Table(
    "alerts",
    (
        *_AT, "alert_id", "workspace", "kind", "time", *_ORIGIN, "available_micros", "message", "threshold_micros",
        "grant_id", "app", "recipients",
    ),
)  # fmt: skip
MAILS = Table(
    "mails",
    (
        *_AT, "delivery_id", "workspace", "app", "alert_id", "kind", "alert_time", "channel", "recipient", "status",
        "time", "round", "attempts", "next", "uncertain", "message_id", "detail",
    ),
)  # fmt: skip
LOAD_ERRORS = Table(
    "load_errors",
    ("topic", *_AT, "reason", "field", "value", "rule", "detail"),
    ("topic", *_POSITION),
)

TABLES = (
    INTERACTIONS, REJECTED, LATE, UNIT_EVENTS, WATERMARKS, COMMANDS, LEDGER_ENTRIES, LEDGER_LINES, LEDGER_CHARGES,
    LEDGER_PARTS, LEDGER_CHANGES, GRANTS, ALERTS, ENTITLEMENTS, PAYMENT_REQUESTS, MAILS, LOAD_ERRORS,
)  # fmt: skip
