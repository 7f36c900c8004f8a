"""The query API and the Plan & Usage page, over HTTP on loopback.

`api` JSON and CSV, `pages` HTML, `application` both; start it with `python -m projections.web --port N`.
"""
