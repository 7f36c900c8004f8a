"""The read side: LOADER, SQL migrations and views, usage queries, the reconciliation, the embedded ClickHouse.

Knows the topics and their schemas, and nothing of the write side. Everything here can be dropped and loaded again (L5).
"""
