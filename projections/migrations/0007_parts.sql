-- Who paid for what (T1): the grant and due lines of the ledger, each with the posting it belongs to.

-- One row per line on a grant or on what is owed. `what` says what its posting is: issued, charged, returned (C8),
-- settled (C6), lapsed (C3). Unit columns are set for charged and returned; `units` is 1 or -1 on the first part of
-- such a posting, else 0, so a unit counts with the credit that paid its first part.
CREATE TABLE ledger_parts
(
    kafka_partition UInt32 CODEC(T64, ZSTD(1)),
    kafka_offset    UInt64 CODEC(Delta, ZSTD(1)),
    part_index      UInt16,
    workspace       LowCardinality(String),
    sequence        UInt64 CODEC(Delta, ZSTD(1)),
    time            DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    what            LowCardinality(String),
    account         LowCardinality(String),
    amount_micros   Int64 CODEC(T64, ZSTD(1)),
    app             LowCardinality(String),
    channel         LowCardinality(String),
    unit_kind       LowCardinality(String),
    unit_id         String CODEC(ZSTD(1)),
    start           DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    units           Int8
)
ENGINE = MergeTree
PARTITION BY toYear(start)
ORDER BY (workspace, start, sequence, part_index, kafka_offset)
SETTINGS non_replicated_deduplication_window = 10000;

-- Billed units by quarter of an hour of their start, so that every reader's time zone can be served from it: all
-- offsets are multiples of 15 minutes. `quarter` counts them from 1970-01-01T00:00Z. Always aggregate again.
CREATE TABLE billed_quarters
(
    workspace LowCardinality(String),
    quarter   UInt32 CODEC(Delta, ZSTD(1)),
    app       LowCardinality(String),
    channel   LowCardinality(String),
    unit_kind LowCardinality(String),
    account   LowCardinality(String),
    units     SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)),
    micros    SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1))
)
ENGINE = AggregatingMergeTree
ORDER BY (workspace, quarter, app, channel, unit_kind, account)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW billed_quarters_of_parts TO billed_quarters AS
SELECT
    workspace,
    toUInt32(intDiv(toUnixTimestamp64Micro(start), 900000000)) AS quarter,
    app,
    channel,
    unit_kind,
    account,
    sum(toInt64(ledger_parts.units)) AS units,
    sum(-amount_micros) AS micros
FROM ledger_parts
WHERE what IN ('charged', 'returned')
GROUP BY workspace, quarter, app, channel, unit_kind, account;

-- What went into and out of each grant, and each app's debt, by cause and app. A handful of rows a workspace.
CREATE TABLE account_flows
(
    workspace LowCardinality(String),
    account   String CODEC(ZSTD(1)),
    app       LowCardinality(String),
    what      LowCardinality(String),
    units     SimpleAggregateFunction(sum, Int64),
    micros    SimpleAggregateFunction(sum, Int64)
)
ENGINE = AggregatingMergeTree
ORDER BY (workspace, account, app, what)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW account_flows_of_parts TO account_flows AS
SELECT workspace, account, app, what, sum(toInt64(ledger_parts.units)) AS units, sum(amount_micros) AS micros
FROM ledger_parts
GROUP BY workspace, account, app, what;
