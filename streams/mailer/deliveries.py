"""A delivery: one alert on its way to one recipient, and what its state becomes. Pure: `now` is an argument.

    waiting -> attempting -> sent (then forgotten) | waiting again, later | dead (kept a while, may be asked for again)

`attempting` is journaled before anything that the receiver may act upon. Found again after a crash it means: nobody
knows whether that attempt arrived. It is tried again as the same message, marked `uncertain`.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from schemas.mails import DeadMail, DeliveryChannel, DeliveryStatus, MailStep
from streams.mailer.notice import Notice
from streams.mailer.retrying import RetryPolicy

Reason = Literal["refused", "bad_address", "gave_up", "too_old", "gone"]


class Delivery(Struct, frozen=True, omit_defaults=True):
    """The state of one delivery, as the changelog holds it. Instants are microseconds UTC."""

    delivery_id: str
    channel: DeliveryChannel
    recipient: str
    """An e-mail address, or a webhook's address."""
    notice: Notice
    planned_us: int
    give_up_us: int
    due_us: int
    status: Literal["waiting", "attempting", "sent", "dead"] = "waiting"
    round: int = 1
    attempts: int = 0
    changed_us: int = 0
    uncertain: bool = False
    detail: str = ""
    reason: Reason | None = None
    webhook_id: str = ""


class Accepted(Struct, frozen=True):
    """The receiver has taken it; `detail` is what it said."""

    detail: str


class Failed(Struct, frozen=True):
    """It was not taken, or nobody knows (`uncertain`). `final` says that trying again is no use, and why."""

    detail: str
    final: Reason | None = None
    uncertain: bool = False


Outcome = Accepted | Failed


def delivery_id_of(alert_id: str, channel: DeliveryChannel, recipient: str) -> str:
    """The identity of an alert's delivery to a recipient: 32 hexadecimal digits."""
    whose = recipient.casefold() if channel == "email" else recipient
    return hashlib.sha256(f"{channel}\n{whose}\n{alert_id}".encode()).hexdigest()[:32]


def begin(delivery: Delivery, now_us: int) -> Delivery:
    """An attempt begins; journaled before the receiver is given the message."""
    return replace(delivery, status="attempting", attempts=delivery.attempts + 1, changed_us=now_us)


def end(delivery: Delivery, outcome: Outcome, now_us: int, policy: RetryPolicy) -> Delivery:
    """How an attempt ended, whether or not it had come as far as `begin`."""
    attempts = delivery.attempts + (delivery.status != "attempting")
    ended = replace(delivery, attempts=attempts, changed_us=now_us, detail=outcome.detail[:512])
    if isinstance(outcome, Accepted):
        return replace(ended, status="sent")
    uncertain = delivery.uncertain or outcome.uncertain
    if outcome.final is not None:
        return replace(ended, status="dead", reason=outcome.final, uncertain=uncertain)
    due_us = now_us + policy.delay_us(delivery.delivery_id, attempts)
    if due_us > delivery.give_up_us:
        return replace(ended, status="dead", reason="gave_up", uncertain=uncertain)
    return replace(ended, status="waiting", due_us=due_us, uncertain=uncertain)


def too_old(delivery: Delivery, now_us: int) -> Delivery:
    """A delivery whose alert was already too old when it was read: given up without an attempt, to be asked for."""
    detail = "the alert was older than deliveries are tried for when it was read"
    return replace(delivery, status="dead", reason="too_old", changed_us=now_us, detail=detail)


def found_again(delivery: Delivery) -> Delivery:
    """A delivery as it is after a restart: an attempt that was under way may have arrived, and is due at once."""
    if delivery.status != "attempting":
        return delivery
    return replace(delivery, status="waiting", uncertain=True, due_us=delivery.changed_us)


def again(delivery: Delivery, now_us: int, policy: RetryPolicy) -> Delivery:
    """A dead delivery that an operator wants tried again: the same message, in its next round."""
    return replace(
        delivery, status="waiting", round=delivery.round + 1, attempts=0, due_us=now_us, changed_us=now_us,
        give_up_us=now_us + policy.give_up_us, reason=None, detail="",
    )  # fmt: skip


def message_id(delivery: Delivery, domain: str) -> str:
    """The Message-ID of a mail: the same for every attempt, so that a receiver can know a repeat."""
    return f"<{delivery.delivery_id}@{domain}>"


def step_of(delivery: Delivery, domain: str) -> MailStep:
    """What is told of a delivery's present state."""
    told: dict[str, DeliveryStatus] = {"waiting": "retrying", "sent": "sent", "dead": "dead"}
    status = told[delivery.status] if delivery.attempts or delivery.status == "dead" else "planned"
    notice = delivery.notice
    return MailStep(
        delivery.delivery_id, notice.workspace, notice.alert_id, notice.kind, delivery.channel, delivery.recipient,
        status, delivery.changed_us, max(0, notice.time_us), notice.app, delivery.round, delivery.attempts,
        delivery.due_us if delivery.status == "waiting" else None, delivery.uncertain,
        message_id(delivery, domain) if delivery.channel == "email" else None, delivery.detail,
    )  # fmt: skip


def dead_letter(delivery: Delivery) -> DeadMail:
    """A delivery that was given up, with its alert."""
    assert delivery.reason is not None, "only what was given up has a reason"
    notice = delivery.notice
    return DeadMail(
        delivery.reason, delivery.detail, delivery.changed_us, delivery.delivery_id, notice.workspace,
        delivery.channel, delivery.recipient, notice.alert_id, notice.kind, delivery.round, delivery.attempts,
        msgspec.json.encode(notice).decode()[:4096],
    )  # fmt: skip
