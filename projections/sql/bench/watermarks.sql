INSERT INTO watermarks (kafka_offset, kafka_append, origin_topic, origin_offset, source_partitions, now, complete)
SELECT number, now64(3), 'interactions', number, 1, toDateTime64('2025-12-31 23:59:00', 6, 'UTC') AS at, at
FROM numbers(10)
