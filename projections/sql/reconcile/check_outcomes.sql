-- Law 7: up to METER's newest watermark of a partition, the outcomes add up to the records that came in.
SELECT
    'records have one outcome' AS check, '' AS workspace, concat('interactions-', toString(source_partition)) AS key,
    '' AS day, toInt64(sum(came_in)) AS expected, toInt64(sum(counted)) AS found
FROM
(
    WITH told AS
    (
        SELECT
            origin_partition AS source_partition,
            max(origin_offset) AS watermark_offset,
            arraySum(mapValues(argMax(outcomes, (origin_offset, origin_index)))) AS counted
        FROM watermarks
        GROUP BY source_partition
    )
    SELECT source_partition, toUInt64(0) AS came_in, counted
    FROM told
    UNION ALL
    SELECT told.source_partition, toUInt64(count()), toUInt64(0)
    FROM interactions AS i
    INNER JOIN told ON told.source_partition = i.kafka_partition
    WHERE i.kafka_offset <= told.watermark_offset
    GROUP BY told.source_partition
    UNION ALL
    -- Those refused as bad input are no valid events, so they are not in `interactions`.
    SELECT told.source_partition, toUInt64(count()), toUInt64(0)
    FROM rejected AS r
    INNER JOIN told ON told.source_partition = r.origin_partition
    WHERE r.origin_topic = 'interactions' AND r.reason != 'too_early' AND r.origin_offset <= told.watermark_offset
    GROUP BY told.source_partition
)
GROUP BY source_partition
HAVING expected != found
