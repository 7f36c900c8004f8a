"""The topic table: every topic, its key, partitions and broker settings, in one place.

Topics are created from here (the broker's auto-creation is off); the README's table is compared with it by a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.instants import MICROS_PER_DAY, MICROS_PER_HOUR

DEFAULT_PARTITIONS = 4
_DAY_MS = str(MICROS_PER_DAY // 1000)

# For ever: law 5 (the log is the truth) and L5 (the read side can be rebuilt from it).
_KEPT: dict[str, str] = {"retention.ms": "-1", "cleanup.policy": "delete"}
# For whoever waits for it now: nothing rests on it. Segments must be rolled for their records to go.
_SHORT: dict[str, str] = {
    "retention.ms": _DAY_MS,
    "segment.ms": str(MICROS_PER_HOUR // 1000),
    "cleanup.policy": "delete",
}
# A record as large as this still reaches METER, which sets it aside with its reason; larger ones the broker refuses.
_LARGE: dict[str, str] = {"max.message.bytes": str(8 * 1024 * 1024)}
# Others publish here, compressed as they like. A codec that we cannot read (aiokafka alone reads gzip only) would stop
# every reader, so the broker stores all of it in the clear.
_ANY_CODEC: dict[str, str] = {"compression.type": "uncompressed"}
# Zombie guard: a stale record appended late stays beside the newer one for a day (spec: 4.1).
_STATE: dict[str, str] = {"cleanup.policy": "compact", "min.compaction.lag.ms": _DAY_MS, **_LARGE}


@dataclass(frozen=True, slots=True)
class Topic:
    """One Kafka topic. `config` holds broker-side settings as the broker spells them."""

    name: str
    key: str
    purpose: str
    partitions: int = DEFAULT_PARTITIONS
    config: Mapping[str, str] = field(default_factory=dict)


def topic_table(
    interaction_partitions: int = DEFAULT_PARTITIONS, account_partitions: int = DEFAULT_PARTITIONS
) -> tuple[Topic, ...]:
    """Every topic for the given partition counts (`interactions` and all that is keyed by workspace)."""
    i, a = interaction_partitions, account_partitions
    return (
        # U6: "now" is the broker's append time, so a replay of the log decides the same.
        Topic(
            INTERACTIONS,
            "workspace/app/channel/user",
            "interaction events from gateways; clock ticks",
            i,
            {**_KEPT, **_LARGE, **_ANY_CODEC, "message.timestamp.type": "LogAppendTime"},
        ),
        Topic(REJECTED, "origin", "records METER refused, with the reason", i, {**_KEPT, **_LARGE}),
        Topic(LATE, "origin", "events older than the allowed lateness (U6)", i, _KEPT),
        Topic(INBOX, "workspace", "everything ACCOUNTS takes: units, commands, watermarks", a, {**_KEPT, **_ANY_CODEC}),
        Topic(LEDGER, "workspace", "the append-only ledger (L1)", a, _KEPT),
        Topic(ALERTS, "workspace", "alerts for owners (A1)", a, _KEPT),
        Topic(ENTITLEMENTS, "workspace/app", "what each app may do (E1)", a, {"cleanup.policy": "compact"}),
        Topic(PAYMENT_REQUESTS, "workspace", "payments asked for (C10)", a, _KEPT),
        Topic(REPLIES, "workspace", "the answer to each command, for a day", a, _SHORT),
        Topic(GATEWAY_KEYS, "key id", "API keys of gateways, secrets hashed", 1, {"cleanup.policy": "compact"}),
        Topic(CLOCK_LEASE, "none", "nothing: who is assigned it is the clock that ticks", 1, _SHORT),
        Topic(MAILS, "workspace", "each step of each mail and webhook delivery", a, _KEPT),
        Topic(DEAD_MAILS, "workspace", "deliveries given up, with the reason", a, _KEPT),
        Topic(MAIL_RETRIES, "workspace", "deliveries given up that an operator wants tried again", a, _KEPT),
        Topic(WEBHOOKS, "workspace/webhook", "where workspaces want alerts posted", a, {"cleanup.policy": "compact"}),
        Topic(METER_CHANGELOG, "state key", "METER's state and positions", i, _STATE),
        Topic(ACCOUNTS_CHANGELOG, "workspace", "ACCOUNTS' state and positions", a, _STATE),
        Topic(MAILER_CHANGELOG, "delivery", "MAILER's open deliveries and positions", a, _STATE),
    )


INTERACTIONS = "interactions"
REJECTED = "interactions.rejected"
LATE = "interactions.late"
INBOX = "account.inbox"
LEDGER = "ledger"
ALERTS = "alerts"
ENTITLEMENTS = "entitlements"
PAYMENT_REQUESTS = "payments.requests"
REPLIES = "account.replies"
GATEWAY_KEYS = "gateway.keys"
CLOCK_LEASE = "clock.lease"
MAILS = "mails"
DEAD_MAILS = "mails.dead"
MAIL_RETRIES = "mails.retry"
WEBHOOKS = "webhooks"
METER_CHANGELOG = "meter.changelog"
ACCOUNTS_CHANGELOG = "accounts.changelog"
MAILER_CHANGELOG = "mailer.changelog"
