"""The guides and the README: each command in them runs, and what they say to change has the effect they say."""
