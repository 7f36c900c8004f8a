-- The events a unit was counted from: of its key, from its start to where the next unit of its kind starts, each once
-- (U7), without what was set aside (U6; but for what was admitted after all) and what human agents did (U12). A notification or alert is its own event (U8, U9).
WITH
    fromUnixTimestamp64Micro({start_us:Int64}, 'UTC') AS begin,
    (
        SELECT min(next_start)
        FROM
        (
            SELECT argMax(start, revision) AS next_start, argMax(change, revision) AS newest
            FROM
            (
                SELECT unit_id, kind, start, change, revision
                FROM unit_events
                WHERE workspace = {workspace:String} AND app = {app:String} AND channel = {channel:String}
                    AND user = {user:String} AND environment = {environment:String}
                UNION ALL
                SELECT
                    JSONExtractString(unit, 'unit_id'), JSONExtractString(unit, 'kind'),
                    fromUnixTimestamp64Micro(JSONExtractInt(unit, 'start_us'), 'UTC'),
                    if(JSONExtractInt(unit, 'delta') < 0, 'retracted', 'admitted'), toUInt64(1e12) + sequence
                FROM ledger_changes
                ARRAY JOIN JSONExtractArrayRaw(body, 'units') AS unit
                WHERE workspace = {workspace:String} AND ledger_changes.change = 'late_admitted' AND app = {app:String}
                    AND JSONExtractString(body, 'channel') = {channel:String} AND user = {user:String}
                    AND {environment:String} = 'live'
            ) AS known
            WHERE known.kind = {kind:String}
            GROUP BY unit_id
            HAVING newest != 'retracted' AND next_start > begin
        )
    ) AS next_begin,
    admitted AS
    (
        SELECT JSONExtract(event, 'partition', 'UInt64') AS place_partition, JSONExtract(event, 'offset', 'UInt64') AS place_offset
        FROM ledger_changes
        ARRAY JOIN JSONExtractArrayRaw(body, 'events') AS event
        WHERE workspace = {workspace:String} AND change = 'late_admitted'
    ),
    aside AS
    (
        SELECT origin_partition, origin_offset
        FROM late
        WHERE origin_topic = 'interactions'
            AND (origin_partition, origin_offset) NOT IN (SELECT place_partition, place_offset FROM admitted)
        UNION ALL
        SELECT origin_partition, origin_offset FROM rejected WHERE origin_topic = 'interactions'
    ),
    -- U7: arrivals of ids that were used on events of several times, which are few; so METER's clock is rarely looked up.
    reused AS
    (
        SELECT kafka_partition, kafka_offset, source, id, toUnixTimestamp64Micro(time) AS time_us
        FROM interactions
        WHERE workspace = {workspace:String} AND app = {app:String} AND channel = {channel:String} AND user = {user:String}
            AND environment = {environment:String} AND routed AND (source, id) IN
            (
                SELECT source, id
                FROM interactions
                WHERE workspace = {workspace:String} AND app = {app:String} AND channel = {channel:String}
                    AND user = {user:String} AND environment = {environment:String} AND routed
                GROUP BY source, id
                HAVING min(interactions.time) < max(interactions.time)
            )
            AND (kafka_partition, kafka_offset) NOT IN (SELECT origin_partition, origin_offset FROM aside)
    ),
    -- What repeats one that counts, of a time that is open yet, counts nowhere, as `explain_event` tells.
    repeats AS
    (
        SELECT arrayJoin(arrayFilter(e -> NOT has(counted.1, e.1), events)).1 AS repeat_offset
        FROM
        (
            SELECT
                arraySort(groupArray((
                    r.kafka_offset, r.time_us,
                    if(w.lateness_us = 0, 0, intDiv(greatest(w.complete_us, r.time_us - w.lateness_us), 60000000) * 60000000),
                    (r.kafka_partition, r.kafka_offset) IN (SELECT place_partition, place_offset FROM admitted)
                ))) AS events,
                arrayFold(
                    (counted, e) -> if(arrayExists(c -> e.4 OR c.2 >= e.3, counted), counted, arrayPushBack(counted, e)),
                    events, arraySlice(events, 1, 0)
                ) AS counted
            FROM reused AS r
            ASOF LEFT JOIN
            (
                SELECT
                    origin_partition, origin_offset, toUnixTimestamp64Micro(complete) AS complete_us,
                    toUnixTimestamp64Micro(now) - complete_us AS lateness_us
                FROM watermarks
                WHERE origin_partition IN (SELECT kafka_partition FROM reused)
            ) AS w ON w.origin_partition = r.kafka_partition AND w.origin_offset <= r.kafka_offset
            GROUP BY r.source, r.id
        )
    )
SELECT
    any(kafka_partition), min(kafka_offset) AS place, argMin(kafka_append, kafka_offset), source, id,
    argMin(interactions.type, kafka_offset) AS first_type, argMin(interactions.time, kafka_offset) AS first_time,
    any(workspace), any(app), any(channel), any(user), argMin(direction, kafka_offset),
    argMin(interactions.actor, kafka_offset) AS first_actor, any(environment)
FROM interactions
WHERE workspace = {workspace:String} AND app = {app:String} AND channel = {channel:String} AND user = {user:String}
    AND environment = {environment:String} AND routed AND interactions.time >= begin
    AND (next_begin <= begin OR interactions.time < next_begin OR {kind:String} IN ('notification', 'alert'))
    AND if(
        {kind:String} IN ('notification', 'alert'),
        interactions.type = concat('quarterhour.', {kind:String}, '.v1') AND interactions.time = begin,
        interactions.type != 'quarterhour.alert.v1'
    )
    AND (kafka_partition, kafka_offset) NOT IN (SELECT origin_partition, origin_offset FROM aside)
    AND kafka_offset NOT IN (SELECT repeat_offset FROM repeats)
GROUP BY source, id
HAVING first_actor != 'human_agent'
ORDER BY first_time, place
LIMIT 10000
