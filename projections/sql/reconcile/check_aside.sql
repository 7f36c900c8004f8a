-- U6: what is late or too early when judged again, against what METER set aside, record by record.
SELECT
    concat(verdict, ' set aside') AS check, '' AS workspace,
    concat('interactions-', toString(source_partition), '@', toString(source_offset)) AS key, '' AS day,
    sum(judged_again) AS expected, sum(set_aside) AS found
FROM
(
    SELECT
        verdict, kafka_partition AS source_partition, kafka_offset AS source_offset,
        toInt64(1) AS judged_again, toInt64(0) AS set_aside
    FROM judged
    WHERE verdict IN ('late', 'early')
    UNION ALL
    SELECT 'late', origin_partition, origin_offset, toInt64(0), toInt64(1)
    FROM late
    UNION ALL
    SELECT 'early', origin_partition, origin_offset, toInt64(0), toInt64(1)
    FROM rejected
    WHERE reason = 'too_early'
    UNION ALL
    -- What was admitted had been judged late.
    SELECT
        'admitted', kafka_partition, kafka_offset,
        toInt64((kafka_partition, kafka_offset) IN (SELECT kafka_partition, kafka_offset FROM judged WHERE verdict = 'late')),
        toInt64(1)
    FROM admitted
)
GROUP BY verdict, source_partition, source_offset
HAVING expected != found
