-- Entry n belongs to workspace 0 once in five, and takes effect somewhere in the year, growing with n.
INSERT INTO ledger_entries (
    kafka_partition, kafka_offset, kafka_append, workspace, sequence, kind, time, origin_topic, origin_offset, cause,
    free_micros, paid_shared_micros, previous_hash, hash, intact)
SELECT
    w % 4, number, now64(3), concat('ws-', toString(w)), number + 1, 'charge',
    fromUnixTimestamp64Micro({first_us:Int64} + toInt64(number) * intDiv(31536000000000, {entries:Int64}), 'UTC'),
    'account.inbox', number, concat('c0-', toString(number)), 400000000, 600000000,
    hex(SHA256(toString(number))), hex(SHA256(toString(number + 1))), true
FROM (SELECT number, if(number % 5 = 0, 0, number % {workspaces:UInt32}) AS w FROM numbers({entries:UInt64}))
