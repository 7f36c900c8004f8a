-- The raw events: what the reconciliation recounts from. Every valid record of topic `interactions`, ticks included.

CREATE TABLE interactions
(
    kafka_partition UInt32 CODEC(T64, ZSTD(1)),
    kafka_offset    UInt64 CODEC(Delta, ZSTD(1)),
    kafka_append    DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    routed          UInt8,
    type            LowCardinality(String),
    source          LowCardinality(String),
    id              String CODEC(ZSTD(1)),
    time            DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    workspace       LowCardinality(String),
    app             LowCardinality(String),
    channel         LowCardinality(String),
    user            String CODEC(ZSTD(1)),
    direction       LowCardinality(String),
    actor           LowCardinality(String),
    environment     LowCardinality(String),
    chars           Nullable(UInt32) CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(kafka_append)
ORDER BY (workspace, app, channel, user, time, kafka_partition, kafka_offset)
SETTINGS non_replicated_deduplication_window = 1000;

-- Records METER refused (bad input, or from the future).
CREATE TABLE rejected
(
    kafka_partition  UInt32,
    kafka_offset     UInt64,
    kafka_append     DateTime64(3, 'UTC'),
    origin_topic     LowCardinality(String),
    origin_partition UInt64,
    origin_offset    UInt64,
    origin_index     UInt64,
    reason           LowCardinality(String),
    field            LowCardinality(String),
    value            String,
    rule             LowCardinality(String),
    detail           String,
    append           DateTime64(6, 'UTC'),
    size_bytes       UInt64,
    payload_sha256   String,
    payload          String CODEC(ZSTD(3)),
    watermark        Nullable(DateTime64(6, 'UTC')),
    time             Nullable(DateTime64(6, 'UTC')),
    workspace        LowCardinality(String),
    app              LowCardinality(String),
    channel          LowCardinality(String),
    user             String,
    source           LowCardinality(String),
    id               String
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(kafka_append)
ORDER BY (reason, origin_partition, origin_offset)
SETTINGS non_replicated_deduplication_window = 1000;

-- Events older than the allowed lateness (U6): visible, not billed.
CREATE TABLE late
(
    kafka_partition  UInt32,
    kafka_offset     UInt64,
    kafka_append     DateTime64(3, 'UTC'),
    origin_topic     LowCardinality(String),
    origin_partition UInt64,
    origin_offset    UInt64,
    origin_index     UInt64,
    reason           LowCardinality(String),
    field            LowCardinality(String),
    value            String,
    rule             LowCardinality(String),
    detail           String,
    append           DateTime64(6, 'UTC'),
    size_bytes       UInt64,
    payload_sha256   String,
    payload          String CODEC(ZSTD(3)),
    watermark        Nullable(DateTime64(6, 'UTC')),
    time             Nullable(DateTime64(6, 'UTC')),
    workspace        LowCardinality(String),
    app              LowCardinality(String),
    channel          LowCardinality(String),
    user             String,
    source           LowCardinality(String),
    id               String
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(kafka_append)
ORDER BY (workspace, app, channel, user, origin_partition, origin_offset)
SETTINGS non_replicated_deduplication_window = 1000;
