-- U7: events whose identity was that of another one, of a time that was closed when they came: they are events of their own.
-- In the order of the offsets an event counts if no counted one of its identity is of a time that is open yet; a late one
-- that was admitted (U6), if there is none at all.
CREATE TEMPORARY TABLE again ENGINE = Memory AS
WITH
    arrivals AS
    (
        SELECT
            kafka_partition, kafka_offset, toUnixTimestamp64Micro(time) AS time_us,
            sipHash128(workspace, app, channel, user, environment, source, id) AS identity
        FROM interactions
        WHERE routed AND type != 'quarterhour.tick.v1'
            AND workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
            AND (kafka_partition, kafka_offset) NOT IN
            (
                SELECT kafka_partition, kafka_offset
                FROM judged
                WHERE verdict = 'early'
                    OR verdict = 'late' AND (kafka_partition, kafka_offset) NOT IN (SELECT kafka_partition, kafka_offset FROM admitted)
            )
    )
SELECT place.1 AS kafka_partition, place.2 AS kafka_offset
FROM
(
    SELECT
        arraySort(e -> e.1.2, groupArray(((a.kafka_partition, a.kafka_offset), a.time_us, a.is_late, m.complete_us))) AS events,
        arrayFold(
            (counted, e) -> if(
                arrayExists(c -> e.3 OR c.2 >= e.4, counted), counted, arrayPushBack(counted, e)
            ),
            events, arraySlice(events, 1, 0)
        ) AS counted
    FROM
    (
        SELECT
            kafka_partition, kafka_offset, time_us, identity,
            (kafka_partition, kafka_offset) IN (SELECT kafka_partition, kafka_offset FROM admitted) AS is_late
        FROM arrivals
        WHERE identity IN (SELECT identity FROM arrivals GROUP BY identity HAVING min(time_us) < max(time_us))
    ) AS a
    ASOF LEFT JOIN (SELECT kafka_partition, kafka_offset, complete_us FROM judged WHERE verdict = 'moved') AS m
        ON m.kafka_partition = a.kafka_partition AND m.kafka_offset <= a.kafka_offset
    GROUP BY a.identity
)
ARRAY JOIN arrayMap(e -> e.1, arraySlice(counted, 2)) AS place
