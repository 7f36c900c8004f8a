"""U9: each alert mail that was sent is an alert notification of its own. No loop: alerts are raised once per crossing
(A2), so a mail that costs something can at most cross the thresholds that are left, and each of them once.
"""

from __future__ import annotations

import hashlib

import msgspec

from schemas.instants import text_of
from schemas.interactions import ALERT
from schemas.routing import interaction_key, partition_of
from schemas.topics import INTERACTIONS
from streams.durable.machine import Output
from streams.mailer.deliveries import Delivery

SOURCE = "/mailer"
ACCOUNT_APP = "account"
"""The app that an alert about the workspace as a whole is counted under."""
CHANNEL = "email"


def sent_event(delivery: Delivery, interaction_partitions: int) -> Output:
    """The event of a sent mail for `interactions`. The identity is the delivery's: told twice it counts once (U7).

    The owner appears under a pseudonym: an address is not for the event log.
    """
    notice = delivery.notice
    app = notice.app or ACCOUNT_APP
    user = "owner-" + hashlib.sha256(delivery.recipient.casefold().encode()).hexdigest()[:16]
    event = {
        "specversion": "1.0", "id": f"{delivery.delivery_id}/{delivery.round}", "source": SOURCE, "type": ALERT,
        "time": text_of(delivery.changed_us),
        "data": {"workspace": notice.workspace, "app": app, "channel": CHANNEL, "user": user, "direction": "outbound"},
    }  # fmt: skip
    key = interaction_key(notice.workspace, app, CHANNEL, user)
    partition = partition_of(key, interaction_partitions)
    return Output(INTERACTIONS, partition, key.encode(), msgspec.json.encode(event))
