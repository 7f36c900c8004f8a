-- Late events (U6), the newest last; `admitted` says who billed them after all, and with which ledger record.
SELECT
    concat('interactions-', toString(l.origin_partition), '-', toString(l.origin_offset)) AS name,
    l.time AS time, l.append AS append, l.workspace AS workspace, l.app AS app, l.channel AS channel, l.user AS user,
    l.source AS source, l.id AS id, a.by_whom AS admitted
FROM late AS l
LEFT JOIN
(
    SELECT
        JSONExtract(event, 'partition', 'UInt64') AS late_partition, JSONExtract(event, 'offset', 'UInt64') AS late_offset,
        concat(e.actor, ', ledger record ', toString(e.sequence)) AS by_whom
    FROM ledger_changes AS c
    ARRAY JOIN JSONExtractArrayRaw(c.body, 'events') AS event
    INNER JOIN ledger_entries AS e ON e.workspace = c.workspace AND e.sequence = c.sequence
    WHERE c.change = 'late_admitted'
) AS a ON a.late_partition = l.origin_partition AND a.late_offset = l.origin_offset
WHERE l.origin_topic = 'interactions' AND {workspace:String} IN ('', l.workspace)
    AND ({name:String} = '' OR l.id = {name:String} OR name = {name:String})
ORDER BY l.append DESC, l.origin_partition DESC, l.origin_offset DESC
LIMIT {limit:UInt32}
