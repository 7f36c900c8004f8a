-- What LOADER remembers. Boundaries of a batch are durable before its data, its position after it.

-- One row per slice of a batch. `epoch` is the loader's (table `loaders`), `batch` counts within the epoch.
CREATE TABLE load_batches
(
    epoch        UInt64,
    batch        UInt64,
    topic        LowCardinality(String),
    partition    UInt32,
    first_offset UInt64,
    next_offset  UInt64,
    token        String,
    written      DateTime DEFAULT now()
)
ENGINE = MergeTree
ORDER BY (epoch, batch, topic, partition)
TTL written + INTERVAL 7 DAY;

-- The next offset to load; positions only grow, so the newest is the largest. `repeats` counts the records of that
-- batch which were dropped because their origin had been loaded before (law 3).
CREATE TABLE load_positions
(
    topic       LowCardinality(String),
    partition   UInt32,
    next_offset UInt64,
    epoch       UInt64,
    batch       UInt64,
    repeats     UInt64,
    written     DateTime DEFAULT now()
)
ENGINE = ReplacingMergeTree(next_offset)
ORDER BY (topic, partition);

-- Claims: the process with the highest epoch loads, every other stops before its next batch.
CREATE TABLE loaders
(
    epoch   UInt64,
    owner   String,
    started DateTime DEFAULT now()
)
ENGINE = MergeTree
ORDER BY epoch;

-- Records of internal topics that the contract cannot read: kept as data, loading goes on.
CREATE TABLE load_errors
(
    topic           LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset    UInt64,
    kafka_append    DateTime64(3, 'UTC'),
    reason          LowCardinality(String),
    field           String,
    value           String,
    rule            String,
    detail          String
)
ENGINE = MergeTree
ORDER BY (topic, kafka_partition, kafka_offset)
SETTINGS non_replicated_deduplication_window = 1000;
