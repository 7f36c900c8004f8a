-- Opened and closed, conversation and session.
INSERT INTO unit_events (
    kafka_partition, kafka_offset, kafka_append, origin_topic, origin_partition, origin_offset, origin_index, unit_id, kind,
    change, revision, workspace, app, channel, user, environment, start, billable, delta, billable_delta, conversation_id)
SELECT
    w % 4, 1000 + (rank * {workspaces:UInt64} + w) * 4 + place, now64(3), 'interactions', u % 4,
    intDiv((h * 14 + if(change = 'opened', 0, 13)) * {users:UInt64} + u, 4), place, unit, kind, change, revision,
    concat('ws-', toString(w)), concat('app-', toString(u % 7)), 'web', concat('user-', toString(u)), 'live',
    fromUnixTimestamp64Micro(start_us, 'UTC'), true, revision = 1, revision = 1,
    if(kind = 'session', concat('c', toString(u), '-', toString(h)), '')
FROM
(
    SELECT
        *, place, ['conversation', 'session'][place % 2 + 1] AS kind, ['opened', 'closed'][intDiv(place, 2) + 1] AS change,
        intDiv(place, 2) + 1 AS revision, concat(substring(kind, 1, 1), toString(u), '-', toString(h)) AS unit
    FROM bench_units
    ARRAY JOIN [0, 1, 2, 3] AS place
)
