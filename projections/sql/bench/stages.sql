-- Per charge of an event appended since then, the slowest hundredth of each stage in milliseconds: from the event's append to
-- its unit's, from there to the ledger record's, from there to being visible.
SELECT
    quantileExact(0.99)(toUnixTimestamp64Milli(u.kafka_append) - toUnixTimestamp64Milli(i.kafka_append)) AS meter,
    quantileExact(0.99)(toUnixTimestamp64Milli(e.kafka_append) - toUnixTimestamp64Milli(u.kafka_append)) AS accounts,
    quantileExact(0.99)(toUnixTimestamp64Milli(v.visible) - toUnixTimestamp64Milli(e.kafka_append)) AS loader
FROM ledger_entries AS e
INNER JOIN unit_events AS u ON u.kafka_partition = e.origin_partition AND u.kafka_offset = e.origin_offset
INNER JOIN interactions AS i ON i.kafka_partition = u.origin_partition AND i.kafka_offset = u.origin_offset
ASOF INNER JOIN (SELECT partition, first_offset, next_offset, visible FROM load_visible WHERE topic = 'ledger') AS v
    ON v.partition = e.kafka_partition AND e.kafka_offset >= v.first_offset
WHERE e.origin_topic = 'account.inbox' AND e.kafka_offset < v.next_offset AND i.kafka_append >= {since:DateTime64(3, 'UTC')}
