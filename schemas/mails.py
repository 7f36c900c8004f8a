"""What MAILER tells: each step of each delivery (`mails`), those given up (`mails.dead`), and what it is told:
deliveries to be tried again (`mails.retry`), webhooks (`webhooks`).

A delivery is one alert on its way to one recipient, by mail or by webhook. Its id derives from both, so a step that is
told twice is the same step: `delivery_id`, `round`, `attempts` and `status` identify it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.units import Micros, Name, Text

DeliveryChannel = Literal["email", "webhook"]
DeliveryStatus = Literal["planned", "retrying", "sent", "dead", "unaddressed"]
Address = Annotated[str, Meta(max_length=2048)]
Detail = Annotated[str, Meta(max_length=512)]
Count = Annotated[int, Meta(ge=0)]

UNADDRESSED = "no recipient"


class MailStep(Struct, frozen=True, omit_defaults=True):
    """One step of a delivery. `unaddressed` is an alert for which nobody's address is known: nothing to send.

    `attempts` counts those of this `round`; a retry by an operator begins the next round. `uncertain`: an attempt
    before may have arrived, because the line broke after the message was on its way; what is sent again has the same
    `message_id`. `next_us` is when the next attempt is due.
    """

    delivery_id: Text
    workspace: Name
    alert_id: Text
    kind: Text
    channel: DeliveryChannel
    recipient: Address
    status: DeliveryStatus
    time_us: Micros
    alert_us: Micros
    app: Name | None = None
    round: Count = 1
    attempts: Count = 0
    next_us: Micros | None = None
    uncertain: bool = False
    message_id: Text | None = None
    detail: Detail = ""


class MailRetry(Struct, frozen=True):
    """An operator's wish: try this dead delivery again. It holds for the named round only, so asking twice is once."""

    delivery_id: Text
    workspace: Name
    round: Count
    by: Text
    time_us: Micros


class DeadMail(Struct, frozen=True, omit_defaults=True):
    """A delivery that was given up. `reason` is a stable code: `refused` (the server will never take it),
    `bad_address`, `gave_up` (tried for too long), `too_old` (older than that when it was read), `gone` (the webhook),
    `invalid_record` (no alert: then only `payload`, its first characters, is known, and there is nothing to retry).
    """

    reason: Literal["refused", "bad_address", "gave_up", "too_old", "gone", "invalid_record"]
    detail: Detail
    died_us: Micros
    delivery_id: Annotated[str, Meta(max_length=256)] = ""
    workspace: Annotated[str, Meta(max_length=64)] = ""
    channel: DeliveryChannel = "email"
    recipient: Address = ""
    alert_id: Annotated[str, Meta(max_length=256)] = ""
    kind: Annotated[str, Meta(max_length=64)] = ""
    round: Count = 1
    attempts: Count = 0
    payload: Annotated[str, Meta(max_length=4096)] = ""

    def retry(self, by: str, time_us: int) -> MailRetry:
        """The record for `mails.retry` (keyed by workspace) that has it tried again; ValueError if nothing can be."""
        if not self.delivery_id:
            raise ValueError(f"there is no delivery to try again: {self.reason}, {self.detail}")
        return MailRetry(self.delivery_id, self.workspace, self.round, by, time_us)


class Webhook(Struct, frozen=True):
    """Where a workspace wants its alerts posted. `secret` is `whsec_` and the base64 of the signing key."""

    webhook_id: Text
    workspace: Name
    url: Address
    secret: Text
    added_us: Micros


def webhook_key(workspace: str, webhook_id: str) -> bytes:
    """The key of a webhook in its compacted topic; no value means it was removed."""
    return f"{workspace}/{webhook_id}".encode()
