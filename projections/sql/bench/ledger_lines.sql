INSERT INTO ledger_lines (
    kafka_partition, kafka_offset, line_index, workspace, sequence, kind, time, account, amount_micros, balance_micros,
    app, channel, unit_id, unit_kind)
SELECT
    w % 4, number, line, concat('ws-', toString(w)), number + 1, 'charge',
    fromUnixTimestamp64Micro({first_us:Int64} + toInt64(number) * intDiv(31536000000000, {entries:Int64}), 'UTC'),
    if(line = 0, 'usage:conversation', concat('grant:g-', toString(w), if(number * 2 < {entries:UInt64}, '-free', '-paid'))),
    if(line = 0, 200000, -200000), 200000 * number, concat('app-', toString(number % 7)),
    ['web', 'whatsapp', 'voice'][number % 3 + 1], concat('c0-', toString(number)), 'conversation'
FROM (SELECT number, if(number % 5 = 0, 0, number % {workspaces:UInt32}) AS w FROM numbers({entries:UInt64}))
ARRAY JOIN [0, 1] AS line
