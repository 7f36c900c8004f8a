"""HTTP ingest: CloudEvents in, the broker's acknowledgement out, one result for each event.

`modes` reads a request, `judging` each event, `application` is the ASGI application, `__main__` the process.
"""
