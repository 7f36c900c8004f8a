"""An embedded ClickHouse behind ClickHouse's own HTTP interface, on loopback.

One process owns the engine (chDB) and its data directory; everybody else speaks HTTP to it, as to a server.
Start it with ``python -m projections.embedded``; `process` holds what a supervisor needs for that.
"""
