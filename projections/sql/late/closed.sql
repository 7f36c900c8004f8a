-- Up to when METER has closed everything (U11), by what every inbox partition was told of every partition of `interactions`;
-- nothing before all of them have said so.
SELECT if(count() = 0 OR countIf(heard < sources) > 0, toInt64(0), min(complete_us))
FROM
(
    SELECT kafka_partition, max(sources) AS sources, count() AS heard, min(complete_us) AS complete_us
    FROM
    (
        SELECT
            kafka_partition, origin_partition, max(source_partitions) AS sources,
            max(toUnixTimestamp64Micro(complete)) AS complete_us
        FROM watermarks
        GROUP BY kafka_partition, origin_partition
    )
    GROUP BY kafka_partition
)
