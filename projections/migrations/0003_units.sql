-- What METER says: changes of units, and how far it has come.

CREATE TABLE unit_events
(
    kafka_partition  UInt32 CODEC(T64, ZSTD(1)),
    kafka_offset     UInt64 CODEC(Delta, ZSTD(1)),
    kafka_append     DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    origin_topic     LowCardinality(String),
    origin_partition UInt64 CODEC(T64, ZSTD(1)),
    origin_offset    UInt64 CODEC(Delta, ZSTD(1)),
    origin_index     UInt64 CODEC(T64, ZSTD(1)),
    unit_id          String CODEC(ZSTD(1)),
    kind             LowCardinality(String),
    change           LowCardinality(String),
    revision         UInt64 CODEC(T64, ZSTD(1)),
    workspace        LowCardinality(String),
    app              LowCardinality(String),
    channel          LowCardinality(String),
    user             String CODEC(ZSTD(1)),
    environment      LowCardinality(String),
    start            DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    billable         Bool,
    delta            Int8,
    billable_delta   Int8,
    conversation_id  String CODEC(ZSTD(1)),
    last             Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    inbound          Nullable(UInt64) CODEC(ZSTD(1)),
    outbound         Nullable(UInt64) CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYear(start)
ORDER BY (workspace, app, channel, user, kind, unit_id, revision, kafka_partition, kafka_offset)
SETTINGS non_replicated_deduplication_window = 10000;

-- Net units by UTC day of the unit's start (U5). Always aggregate again when reading: parts merge later.
CREATE TABLE usage_daily
(
    workspace      LowCardinality(String),
    day            Date,
    app            LowCardinality(String),
    channel        LowCardinality(String),
    environment    LowCardinality(String),
    kind           LowCardinality(String),
    units          SimpleAggregateFunction(sum, Int64),
    billable_units SimpleAggregateFunction(sum, Int64)
)
ENGINE = AggregatingMergeTree
ORDER BY (workspace, day, app, channel, environment, kind)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW usage_daily_of_unit_events TO usage_daily AS
SELECT
    workspace,
    toDate(start, 'UTC') AS day,
    app,
    channel,
    environment,
    kind,
    sum(toInt64(delta)) AS units,
    sum(toInt64(billable_delta)) AS billable_units
FROM unit_events
GROUP BY workspace, day, app, channel, environment, kind;

-- How far METER had come on each partition of `interactions`, and what became of every record before (law 7).
CREATE TABLE watermarks
(
    kafka_partition   UInt32,
    kafka_offset      UInt64,
    kafka_append      DateTime64(3, 'UTC'),
    origin_topic      LowCardinality(String),
    origin_partition  UInt64,
    origin_offset     UInt64,
    origin_index      UInt64,
    source_partitions UInt64,
    now               DateTime64(6, 'UTC'),
    complete          DateTime64(6, 'UTC'),
    outcomes          Map(String, UInt64)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(kafka_append)
ORDER BY (origin_partition, origin_offset, kafka_partition)
SETTINGS non_replicated_deduplication_window = 1000;
