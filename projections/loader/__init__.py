"""LOADER: topics into ClickHouse tables, each record exactly once (L3).

`loading` is the core over a `Source` of records, `journal` what makes repeats harmless, `kafka` the real source.
Start it with `python -m projections.loader`.
"""
