-- One row per conversation: user `u` of `{users}`, hour `h`. `w`: a fifth of the users belong to workspace 0; `rank`: its
-- place among its workspace's. Every user talks for 14 minutes of each hour, one event a minute.
CREATE TABLE bench_units ENGINE = MergeTree ORDER BY (w, rank) AS
SELECT
    h, u, w, row_number() OVER (PARTITION BY w ORDER BY h, u) AS rank,
    {first_us:Int64} + h * 3600000000 + (u % 60) * 1000000 AS start_us
FROM
(
    SELECT intDiv(number, {users:UInt64}) AS h, number % {users:UInt64} AS u, if(u % 5 = 0, 0, u % {workspaces:UInt64}) AS w
    FROM numbers({conversations:UInt64})
)
