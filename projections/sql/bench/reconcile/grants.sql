INSERT INTO grants (
    kafka_partition, kafka_offset, grant_index, workspace, sequence, grant_id, credit, amount_micros, granted, expires, app)
SELECT
    w % 4, w, 0, concat('ws-', toString(w)), 1, concat('ws-', toString(w), '/welcome'), 'free', {free_micros:Int64},
    fromUnixTimestamp64Micro({first_us:Int64} - 1000000, 'UTC'),
    fromUnixTimestamp64Micro({first_us:Int64} - 1000000 + 90 * 86400000000, 'UTC'), ''
FROM (SELECT DISTINCT w FROM bench_units)
