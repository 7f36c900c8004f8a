-- What ACCOUNTS was told by people (commands), and what it says: ledger, grants, alerts. Money is Int64 micro-dollars (C7).

CREATE TABLE commands
(
    kafka_partition UInt32,
    kafka_offset    UInt64,
    kafka_append    DateTime64(3, 'UTC'),
    command_id      String,
    workspace       LowCardinality(String),
    time            DateTime64(6, 'UTC'),
    actor_role      LowCardinality(String),
    actor_name      String,
    kind            LowCardinality(String),
    amount_micros   Nullable(Int64),
    body            String
)
ENGINE = MergeTree
ORDER BY (workspace, time, command_id)
SETTINGS non_replicated_deduplication_window = 1000;

-- One row per ledger record (L1), with the balances after it.
CREATE TABLE ledger_entries
(
    kafka_partition    UInt32 CODEC(T64, ZSTD(1)),
    kafka_offset       UInt64 CODEC(Delta, ZSTD(1)),
    kafka_append       DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    workspace          LowCardinality(String),
    sequence           UInt64 CODEC(Delta, ZSTD(1)),
    kind               LowCardinality(String),
    time               DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    origin_topic       LowCardinality(String),
    origin_partition   UInt64 CODEC(T64, ZSTD(1)),
    origin_offset      UInt64 CODEC(Delta, ZSTD(1)),
    origin_index       UInt64 CODEC(T64, ZSTD(1)),
    cause              String CODEC(ZSTD(1)),
    free_micros        Int64 CODEC(Delta, ZSTD(1)),
    paid_shared_micros Int64 CODEC(Delta, ZSTD(1)),
    paid_apps_micros   Int64 CODEC(Delta, ZSTD(1)),
    due_micros         Int64 CODEC(Delta, ZSTD(1)),
    previous_hash      String CODEC(ZSTD(1)),
    hash               String CODEC(ZSTD(1)),
    actor              String,
    note               String
)
ENGINE = MergeTree
PARTITION BY toYear(time)
ORDER BY (workspace, sequence, kafka_offset)
SETTINGS non_replicated_deduplication_window = 10000;

-- One row per line of a record. `app`, `channel`, `unit_id`, `unit_kind` are set where the record has exactly one charge.
CREATE TABLE ledger_lines
(
    kafka_partition UInt32 CODEC(T64, ZSTD(1)),
    kafka_offset    UInt64 CODEC(Delta, ZSTD(1)),
    line_index      UInt16,
    workspace       LowCardinality(String),
    sequence        UInt64 CODEC(Delta, ZSTD(1)),
    kind            LowCardinality(String),
    time            DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    account         LowCardinality(String),
    amount_micros   Int64 CODEC(T64, ZSTD(1)),
    balance_micros  Int64 CODEC(Delta, ZSTD(1)),
    app             LowCardinality(String),
    channel         LowCardinality(String),
    unit_id         String CODEC(ZSTD(1)),
    unit_kind       LowCardinality(String)
)
ENGINE = MergeTree
PARTITION BY toYear(time)
ORDER BY (workspace, sequence, line_index, kafka_offset)
SETTINGS non_replicated_deduplication_window = 10000;

-- One row per charge a record carries; `sign` is -1 in a reversal (C8).
CREATE TABLE ledger_charges
(
    kafka_partition UInt32 CODEC(T64, ZSTD(1)),
    kafka_offset    UInt64 CODEC(Delta, ZSTD(1)),
    charge_index    UInt16,
    workspace       LowCardinality(String),
    sequence        UInt64 CODEC(Delta, ZSTD(1)),
    kind            LowCardinality(String),
    sign            Int8,
    unit_id         String CODEC(ZSTD(1)),
    unit_kind       LowCardinality(String),
    app             LowCardinality(String),
    channel         LowCardinality(String),
    start           DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    price_micros    Int64 CODEC(T64, ZSTD(1)),
    plan            LowCardinality(String)
)
ENGINE = MergeTree
PARTITION BY toYear(start)
ORDER BY (workspace, unit_id, sequence, charge_index, kafka_offset)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE grants
(
    kafka_partition UInt32,
    kafka_offset    UInt64,
    grant_index     UInt16,
    workspace       LowCardinality(String),
    sequence        UInt64,
    grant_id        String,
    credit          LowCardinality(String),
    amount_micros   Int64,
    granted         DateTime64(6, 'UTC'),
    expires         Nullable(DateTime64(6, 'UTC')),
    app             LowCardinality(String)
)
ENGINE = MergeTree
ORDER BY (workspace, grant_id, kafka_offset)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE alerts
(
    kafka_partition  UInt32,
    kafka_offset     UInt64,
    kafka_append     DateTime64(3, 'UTC'),
    alert_id         String,
    workspace        LowCardinality(String),
    kind             LowCardinality(String),
    time             DateTime64(6, 'UTC'),
    origin_topic     LowCardinality(String),
    origin_partition UInt64,
    origin_offset    UInt64,
    origin_index     UInt64,
    available_micros Int64,
    message          String,
    threshold_micros Nullable(Int64),
    grant_id         String
)
ENGINE = MergeTree
ORDER BY (workspace, time, alert_id)
SETTINGS non_replicated_deduplication_window = 1000;
