-- Which lane of the rebuild loads a partition; written before anything of it is loaded.
CREATE TABLE IF NOT EXISTS rebuild_lanes
(
    topic     LowCardinality(String),
    partition UInt32,
    lane      UInt8
)
ENGINE = MergeTree
ORDER BY (topic, partition)
