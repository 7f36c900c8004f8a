"""What operators ask of a running system: topics, lag, dead letters, and whether this machine is fit for it.

Everything here looks from outside; `dead_letters.retry` alone writes, and what it writes is an event like any other.
"""
