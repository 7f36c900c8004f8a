"""Request and reply over Kafka: commands go to `account.inbox`, and their answers are heard on `account.replies`.

`desk` is pure: who waits for what. `requests` is the edge: a producer, one tail for all who wait, and the ledger for
old answers (`old`).
"""
