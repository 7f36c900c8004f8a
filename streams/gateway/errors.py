"""What can go wrong between a gateway and Kafka, each error with what to do next."""

from __future__ import annotations

from schemas.errors import QuarterhourError


class BrokerAway(QuarterhourError):
    """No Kafka answers at the address, or the topics are not there."""


class NotDelivered(QuarterhourError):
    """An event was not acknowledged in time. It may stand in the topic all the same: publish it again, with the same
    `source` and `id`, and it counts once (U7)."""


class Refused(QuarterhourError):
    """The broker refused a record for good, e.g. for its size; publishing it again does not help."""


class Closed(QuarterhourError):
    """The publisher is not started, or has been closed."""
