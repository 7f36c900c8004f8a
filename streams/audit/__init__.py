"""Auditing what the write side has published: the ledger topic against itself and against ACCOUNTS' state (L1, L2)."""
