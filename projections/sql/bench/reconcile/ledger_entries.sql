INSERT INTO ledger_entries (
    kafka_partition, kafka_offset, kafka_append, workspace, sequence, kind, time, origin_topic, origin_partition,
    origin_offset, cause, free_micros, previous_hash, hash, intact)
SELECT
    w % 4, if(rank = 0, w, 1000 + rank * {workspaces:UInt64} + w), now64(3), concat('ws-', toString(w)), rank + 1,
    if(rank = 0, 'workspace_created', 'charge'), fromUnixTimestamp64Micro(start_us, 'UTC'), 'account.inbox', w % 4,
    if(rank = 0, w, 1000 + (rank * {workspaces:UInt64} + w) * 4), unit, {free_micros:Int64} - rank * 200000,
    if(rank = 0, repeat('0', 64), hex(SHA256(concat(toString(w), '/', toString(rank))))),
    hex(SHA256(concat(toString(w), '/', toString(rank + 1)))), true
FROM
(
    SELECT w, rank, start_us, concat('c', toString(u), '-', toString(h)) AS unit FROM bench_units
    UNION ALL
    SELECT DISTINCT w, 0, {first_us:Int64} - 1000000, concat('create-', toString(w)) FROM bench_units
)
