"""Backup and restore of the topics, which are the truth (law 5): offsets and append times come back as they were.

`format` is the folder of a backup, `save` writes it from a Kafka, `restore` writes an empty Kafka from it.
`drill` does it all on a throw-away world, with a loss in between, and `comparing` says what differs.
"""
