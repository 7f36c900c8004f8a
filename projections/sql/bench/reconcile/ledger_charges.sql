INSERT INTO ledger_charges (
    kafka_partition, kafka_offset, charge_index, workspace, sequence, kind, sign, unit_id, unit_kind, app, channel, start,
    price_micros, plan)
SELECT
    w % 4, 1000 + rank * {workspaces:UInt64} + w, 0, concat('ws-', toString(w)), rank + 1, 'charge', 1,
    concat('c', toString(u), '-', toString(h)), 'conversation', concat('app-', toString(u % 7)), 'web',
    fromUnixTimestamp64Micro(start_us, 'UTC'), 200000, 'standard'
FROM bench_units
