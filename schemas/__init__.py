"""The contract between gateways, write side and read side.

Event models, the topic table, the plan catalog, routing and settings; JSON Schema export.
Depends on nothing else of ours: `streams` and `projections` share topics, and this is how they spell them.
"""
