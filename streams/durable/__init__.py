"""The protocol that makes a partition's state machine crash-safe: outputs, then state, then position, then offset.

One module for METER and ACCOUNTS (laws 1 and 8). The machines are pure; everything that touches Kafka is here.
"""
