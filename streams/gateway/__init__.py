"""For channel gateways: publish interactions to Kafka, and ask what an app may do, in asyncio Python.

`Gateway` is all most programs need; `Publisher` and `Follower` are what it and the HTTP ingest are made of.
"""

from schemas.kafka import Kafka
from streams.gateway.entitled import Decision, EntitlementPolicy
from streams.gateway.errors import BrokerAway, Closed, NotDelivered, Refused
from streams.gateway.events import new_event
from streams.gateway.gateway import Gateway
from streams.gateway.publisher import Delivered, PublisherPolicy, Receipt

__all__ = [
    "BrokerAway",
    "Closed",
    "Decision",
    "Delivered",
    "EntitlementPolicy",
    "Gateway",
    "Kafka",
    "NotDelivered",
    "PublisherPolicy",
    "Receipt",
    "Refused",
    "new_event",
]
