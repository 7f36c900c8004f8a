INSERT INTO watermarks (
    kafka_partition, kafka_offset, kafka_append, origin_topic, origin_partition, origin_offset, origin_index,
    source_partitions, now, complete, outcomes)
SELECT
    0, 5 + kafka_partition, now64(3), 'interactions', kafka_partition, max(kafka_offset), 0, 4, max(time), max(time) - INTERVAL 1 DAY,
    map('joined', count())
FROM interactions
GROUP BY kafka_partition
