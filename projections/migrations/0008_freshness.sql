-- When each batch's records became visible (T6): one row per slice, written after its data. For a month; a rebuild
-- writes its own.
CREATE TABLE load_visible
(
    topic         LowCardinality(String),
    partition     UInt32,
    first_offset  UInt64,
    next_offset   UInt64,
    records       UInt64,
    oldest_append DateTime64(3, 'UTC'),
    newest_append DateTime64(3, 'UTC'),
    visible       DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (topic, partition, first_offset)
TTL toDateTime(visible) + INTERVAL 30 DAY;

-- Per topic over the last hour of loading: how long a record took from its append to being visible, in milliseconds,
-- told by the oldest record of each batch, so never better than it was.
CREATE VIEW freshness AS
SELECT
    topic,
    sum(v.records) AS records,
    max(v.newest_append) AS data_up_to,
    max(v.visible) AS last_visible,
    quantileExactWeighted(0.5)(toUnixTimestamp64Milli(v.visible) - toUnixTimestamp64Milli(v.oldest_append), v.records) AS p50_ms,
    quantileExactWeighted(0.99)(toUnixTimestamp64Milli(v.visible) - toUnixTimestamp64Milli(v.oldest_append), v.records) AS p99_ms
FROM load_visible AS v
WHERE v.visible > (SELECT max(visible) FROM load_visible) - INTERVAL 1 HOUR
GROUP BY topic;

-- Per ledger record of an event: how long from the event's append to its charge being visible, in milliseconds.
CREATE VIEW event_to_ledger AS
SELECT
    e.workspace AS workspace,
    e.sequence AS sequence,
    i.kafka_append AS event_append,
    v.visible AS visible,
    toUnixTimestamp64Milli(v.visible) - toUnixTimestamp64Milli(i.kafka_append) AS milliseconds
FROM ledger_entries AS e
INNER JOIN unit_events AS u ON u.kafka_partition = e.origin_partition AND u.kafka_offset = e.origin_offset
INNER JOIN interactions AS i ON i.kafka_partition = u.origin_partition AND i.kafka_offset = u.origin_offset
ASOF INNER JOIN (SELECT partition, first_offset, next_offset, visible FROM load_visible WHERE topic = 'ledger') AS v
    ON v.partition = e.kafka_partition AND e.kafka_offset >= v.first_offset
WHERE e.origin_topic = 'account.inbox' AND e.kafka_offset < v.next_offset;
