INSERT INTO ledger_lines (
    kafka_partition, kafka_offset, line_index, workspace, sequence, kind, time, account, amount_micros, balance_micros, app,
    channel, unit_id, unit_kind)
SELECT
    w % 4, if(rank = 0, w, 1000 + rank * {workspaces:UInt64} + w), line, concat('ws-', toString(w)), rank + 1,
    if(rank = 0, 'workspace_created', 'charge'), fromUnixTimestamp64Micro(start_us, 'UTC'),
    if(line = 0, if(rank = 0, 'issued:free', 'usage:conversation'), concat('grant:ws-', toString(w), '/welcome')),
    multiIf(rank = 0, if(line = 0, -{free_micros:Int64}, {free_micros:Int64}), line = 0, 200000, -200000) AS amount,
    multiIf(rank = 0, amount, line = 0, 200000 * rank, {free_micros:Int64} - 200000 * rank),
    concat('app-', toString(u % 7)), 'web', if(rank = 0, '', concat('c', toString(u), '-', toString(h))),
    if(rank = 0, '', 'conversation')
FROM
(
    SELECT w, rank, start_us, u, h FROM bench_units
    UNION ALL
    SELECT DISTINCT w, 0, {first_us:Int64} - 1000000, 0, 0 FROM bench_units
)
ARRAY JOIN [0, 1] AS line
