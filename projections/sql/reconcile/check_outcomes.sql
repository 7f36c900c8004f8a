-- Law 7: up to METER's newest watermark of a partition, the outcomes add up to the records that came in.
SELECT
    'records have one outcome' AS check, '' AS workspace, concat('interactions-', toString(w.source_partition)) AS key,
    '' AS day, toInt64(countIf(r.source_offset <= w.watermark_offset)) AS expected, toInt64(any(w.counted)) AS found
FROM
(
    SELECT
        origin_partition AS source_partition,
        max(origin_offset) AS watermark_offset,
        arraySum(mapValues(argMax(outcomes, (origin_offset, origin_index)))) AS counted
    FROM watermarks
    GROUP BY source_partition
) AS w
LEFT JOIN
(
    SELECT kafka_partition AS source_partition, kafka_offset AS source_offset
    FROM interactions
    UNION ALL
    -- Those refused as bad input are no valid events, so they are not in `interactions`.
    SELECT origin_partition, origin_offset
    FROM rejected
    WHERE reason != 'too_early'
) AS r ON r.source_partition = w.source_partition
GROUP BY w.source_partition
HAVING expected != found
