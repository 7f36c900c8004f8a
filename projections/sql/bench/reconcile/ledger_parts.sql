INSERT INTO ledger_parts (
    kafka_partition, kafka_offset, part_index, workspace, sequence, time, what, account, amount_micros, app, channel,
    unit_kind, unit_id, start, units)
SELECT
    w % 4, if(rank = 0, w, 1000 + rank * {workspaces:UInt64} + w), 0, concat('ws-', toString(w)), rank + 1,
    fromUnixTimestamp64Micro(start_us, 'UTC') AS at, if(rank = 0, 'issued', 'charged'),
    concat('grant:ws-', toString(w), '/welcome'), if(rank = 0, {free_micros:Int64}, -200000),
    if(rank = 0, '', concat('app-', toString(u % 7))), if(rank = 0, '', 'web'), if(rank = 0, '', 'conversation'),
    if(rank = 0, '', concat('c', toString(u), '-', toString(h))), at, rank > 0
FROM
(
    SELECT w, rank, start_us, u, h FROM bench_units
    UNION ALL
    SELECT DISTINCT w, 0, {first_us:Int64} - 1000000, 0, 0 FROM bench_units
)
