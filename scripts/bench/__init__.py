"""Benchmarks: what the pipeline costs, measured on the real thing; results are kept in `scripts/benchmarks/`."""
