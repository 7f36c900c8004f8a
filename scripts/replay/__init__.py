"""Replaying an event log as gateways would publish it; the replayer is the clock of a replay (ticks in event time)."""
