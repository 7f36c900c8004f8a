"""ACCOUNTS: one pure state machine per workspace; units, commands and clock in, ledger records and alerts out.

`decide(state, fact, moment, policy)` says what happens, `apply(state, record)` folds it; `partition` runs the accounts
of one partition of `account.inbox`. Laws and decisions: README.md beside this file.
"""
