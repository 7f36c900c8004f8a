INSERT INTO ledger_parts (
    kafka_partition, kafka_offset, part_index, workspace, sequence, time, what, account, amount_micros, app, channel,
    unit_kind, unit_id, start, units)
SELECT
    w % 4, number, 0, concat('ws-', toString(w)), number + 1,
    fromUnixTimestamp64Micro({first_us:Int64} + toInt64(number) * intDiv(31536000000000, {entries:Int64}), 'UTC') AS at,
    'charged', concat('grant:g-', toString(w), if(number * 2 < {entries:UInt64}, '-free', '-paid')), -200000,
    concat('app-', toString(number % 7)), ['web', 'whatsapp', 'voice'][number % 3 + 1], 'conversation',
    concat('c0-', toString(number)), at, 1
FROM (SELECT number, if(number % 5 = 0, 0, number % {workspaces:UInt32}) AS w FROM numbers({entries:UInt64}))
