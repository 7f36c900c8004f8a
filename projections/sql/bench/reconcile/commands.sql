INSERT INTO commands (
    kafka_partition, kafka_offset, kafka_append, command_id, workspace, time, actor_role, actor_name, kind, body)
SELECT
    w % 4, w, now64(3), concat('create-', toString(w)), concat('ws-', toString(w)),
    fromUnixTimestamp64Micro({first_us:Int64} - 1000000, 'UTC'), 'operator', 'olga', 'create_workspace',
    '{"kind":"create_workspace","owner":"olga"}'
FROM (SELECT DISTINCT w FROM bench_units)
