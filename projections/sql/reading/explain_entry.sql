SELECT
    workspace, sequence, kind, time, kafka_append, cause, actor, note,
    concat(origin_topic, '-', toString(origin_partition), '@', toString(origin_offset)) AS origin, hash, intact
FROM ledger_entries
WHERE workspace = {workspace:String} AND sequence = {sequence:UInt64}
