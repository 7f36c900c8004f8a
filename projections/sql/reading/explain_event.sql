-- Every arrival of an id, and what became of it (law 7).
WITH
    arrivals AS
    (
        SELECT *
        FROM interactions
        WHERE workspace = {workspace:String} AND interactions.id = {id:String} AND {source:String} IN ('', interactions.source)
    ),
    aside AS
    (
        SELECT origin_partition, origin_offset, 'late' AS verdict, detail FROM late
        WHERE origin_topic = 'interactions'
            AND (origin_partition, origin_offset) IN (SELECT kafka_partition, kafka_offset FROM arrivals)
        UNION ALL
        SELECT origin_partition, origin_offset, 'rejected', concat(detail, ' (', rule, ')') FROM rejected
        WHERE origin_topic = 'interactions'
            AND (origin_partition, origin_offset) IN (SELECT kafka_partition, kafka_offset FROM arrivals)
    )
SELECT
    a.kafka_partition, a.kafka_offset, a.kafka_append, a.source, a.id, a.type, a.time, a.workspace, a.app, a.channel,
    a.user, a.direction, a.actor, a.environment,
    multiIf(
        d.by_whom != '', 'admitted',
        s.verdict != '', s.verdict,
        NOT a.routed, 'rerouted',
        repeats > 0, 'repeated',
        a.actor = 'human_agent', 'human_agent',
        'metered'
    ) AS outcome,
    multiIf(outcome = 'admitted', d.by_whom, outcome = 'repeated', concat('offset ', toString(repeats - 1)), s.detail) AS why,
    -- U7: the offset, one more, of the event that this one repeats.
    if(has(f.counted.1, a.kafka_offset), 0, arrayLast(e -> e.1 < a.kafka_offset, f.counted).1 + 1) AS repeats
FROM arrivals AS a
LEFT JOIN aside AS s ON s.origin_partition = a.kafka_partition AND s.origin_offset = a.kafka_offset
LEFT JOIN
(
    -- U6: late, and billed after all.
    SELECT
        JSONExtract(event, 'partition', 'UInt32') AS late_partition, JSONExtract(event, 'offset', 'UInt64') AS late_offset,
        concat(e.actor, ' at ', toString(e.time), ' in ledger record ', toString(e.sequence), ': ', e.note) AS by_whom
    FROM ledger_changes AS c
    ARRAY JOIN JSONExtractArrayRaw(c.body, 'events') AS event
    INNER JOIN ledger_entries AS e ON e.workspace = c.workspace AND e.sequence = c.sequence
    WHERE c.workspace = {workspace:String} AND c.change = 'late_admitted'
) AS d ON d.late_partition = a.kafka_partition AND d.late_offset = a.kafka_offset
LEFT JOIN
(
    -- U7: those that count: not while one of the same identity that counts is of a time that is open yet, as METER told.
    SELECT
        source, app, channel, user, environment,
        arrayFold(
            (counted, e) -> if(arrayExists(c -> c.2 >= e.3, counted), counted, arrayPushBack(counted, e)),
            arraySort(groupArray((
                kafka_offset, toUnixTimestamp64Micro(arrivals.time),
                -- Whole minutes; nothing is closed before METER has told of any.
                if(
                    w.lateness_us = 0, 0,
                    intDiv(greatest(w.complete_us, toUnixTimestamp64Micro(arrivals.time) - w.lateness_us), 60000000) * 60000000
                )
            ))) AS events,
            arraySlice(events, 1, 0)
        ) AS counted
    FROM arrivals
    ASOF LEFT JOIN
    (
        SELECT
            origin_partition, origin_offset, toUnixTimestamp64Micro(complete) AS complete_us,
            toUnixTimestamp64Micro(now) - complete_us AS lateness_us
        FROM watermarks
        WHERE origin_partition IN (SELECT kafka_partition FROM arrivals)
    ) AS w ON w.origin_partition = arrivals.kafka_partition AND w.origin_offset <= arrivals.kafka_offset
    WHERE routed AND (kafka_partition, kafka_offset) NOT IN (SELECT origin_partition, origin_offset FROM aside)
    GROUP BY source, app, channel, user, environment
) AS f ON f.source = a.source AND f.app = a.app AND f.channel = a.channel AND f.user = a.user
    AND f.environment = a.environment
ORDER BY a.kafka_append, a.kafka_partition, a.kafka_offset
