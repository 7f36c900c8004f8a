INSERT INTO ledger_charges (
    kafka_partition, kafka_offset, charge_index, workspace, sequence, kind, sign, unit_id, unit_kind, app, channel, start,
    price_micros, plan)
SELECT
    w % 4, number, 0, concat('ws-', toString(w)), number + 1, 'charge', 1, concat('c0-', toString(number)), 'conversation',
    concat('app-', toString(number % 7)), ['web', 'whatsapp', 'voice'][number % 3 + 1],
    fromUnixTimestamp64Micro({first_us:Int64} + toInt64(number) * intDiv(31536000000000, {entries:Int64}), 'UTC'),
    200000, 'standard'
FROM (SELECT number, if(number % 5 = 0, 0, number % {workspaces:UInt32}) AS w FROM numbers({entries:UInt64}))
