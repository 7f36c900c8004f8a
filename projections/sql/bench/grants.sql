INSERT INTO grants (
    kafka_partition, kafka_offset, grant_index, workspace, sequence, grant_id, credit, amount_micros, granted, expires, app)
SELECT
    number % 4, number, 0, concat('ws-', toString(number)), 1, concat('g-', toString(number), '-', credit), credit,
    1000000000000, fromUnixTimestamp64Micro({first_us:Int64}, 'UTC'), NULL, ''
FROM numbers({workspaces:UInt64})
ARRAY JOIN ['free', 'paid'] AS credit
