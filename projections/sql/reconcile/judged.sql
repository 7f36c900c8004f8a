-- U6 judged again: per partition in offset order, against the running maximum of the event time.
-- An event too far ahead of its append time is refused wherever it lies, and moves no watermark; ticks are never late.
-- `moved`: from this record on, itself included, everything before `complete_us`, a whole minute, is closed (U11).
INSERT INTO judged
SELECT kafka_partition, kafka_offset, verdict, complete_us
FROM
(
    SELECT
        kafka_partition,
        kafka_offset,
        toUnixTimestamp64Micro(time) AS time_us,
        time_us > toUnixTimestamp64Milli(kafka_append) * 1000 + {future_us:Int64} AS early,
        max(if(early OR NOT routed, 0, time_us)) OVER (
            PARTITION BY kafka_partition ORDER BY kafka_offset ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS watermark_us,
        intDiv(greatest(watermark_us - {lateness_us:Int64}, 0), 60000000) AS closed_minute,
        if(early OR NOT routed, 0, intDiv(greatest(time_us - {lateness_us:Int64}, 0), 60000000)) AS minute,
        multiIf(
            early, 'early',
            routed AND type != 'quarterhour.tick.v1' AND time_us < watermark_us - {lateness_us:Int64}, 'late',
            minute > closed_minute, 'moved',
            ''
        ) AS verdict,
        if(verdict = 'moved', minute * 60000000, 0) AS complete_us
    FROM interactions
    WHERE kafka_partition = {partition:UInt32}
)
WHERE verdict != ''
