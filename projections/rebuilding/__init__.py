"""How a rebuild reads the topics: in lanes of partitions, each with a journal of its own, here or by reader processes.

`projections.rebuild` is what uses it.
"""
