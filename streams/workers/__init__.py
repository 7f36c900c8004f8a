"""The worker processes: `python -m streams.workers.meter` and `python -m streams.workers.accounts`."""
