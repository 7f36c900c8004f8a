"""METER under disturbance on a real Kafka: processes that may be killed, a seeded load, a verdict by recount.

Used by `scripts.soak` and by the tests of the durable protocol. The oracle is the tests' batch recount.
"""
