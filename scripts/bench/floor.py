"""The floor: receive and decode only, by the C client: `python -m scripts.bench.floor BOOTSTRAP RECORDS`.

Prints CPU seconds for all records of `interactions`, every thread of the client included, its start not.
"""

from __future__ import annotations

import sys
import time

import msgspec
from confluent_kafka import Consumer, TopicPartition

from schemas.interactions import Event
from schemas.topics import DEFAULT_PARTITIONS, INTERACTIONS

_BATCH = 10_000


def main() -> None:
    """Read everything once."""
    bootstrap, wanted = sys.argv[1], int(sys.argv[2])
    decode = msgspec.json.Decoder(Event).decode
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "floor", "enable.auto.commit": False})
    consumer.assign([TopicPartition(INTERACTIONS, partition, 0) for partition in range(DEFAULT_PARTITIONS)])
    left = wanted
    begun = time.process_time()
    while left > 0:
        messages = consumer.consume(_BATCH, timeout=10)
        if not messages:
            raise SystemExit(f"{left} records are missing")
        for message in messages:
            decode(message.value())
        left -= len(messages)
    print(time.process_time() - begun)
    consumer.close()


if __name__ == "__main__":
    main()
