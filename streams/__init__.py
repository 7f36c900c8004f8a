"""The write side: METER and ACCOUNTS, each a pure state machine per partition under a thin Faust worker.

`metering` and `accounts` are pure; `durable` is the one protocol that makes either crash-safe; `workers` wires them.
Never imports `projections`: topics are all the two sides share.
"""
