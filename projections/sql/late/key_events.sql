-- Every event of one key (U3), and what it is: '' counts, and so does `admitted` (U6); `late` and `rejected` do not.
SELECT
    kafka_partition, kafka_offset, source, id, type, toUnixTimestamp64Micro(time), direction = 'inbound', actor, environment,
    multiIf(
        (kafka_partition, kafka_offset) IN (
            SELECT JSONExtract(event, 'partition', 'UInt32'), JSONExtract(event, 'offset', 'UInt64')
            FROM ledger_changes ARRAY JOIN JSONExtractArrayRaw(body, 'events') AS event
            WHERE workspace = {workspace:String} AND change = 'late_admitted'
        ), 'admitted',
        (kafka_partition, kafka_offset) IN (
            SELECT origin_partition, origin_offset FROM late WHERE origin_topic = 'interactions'
        ), 'late',
        (kafka_partition, kafka_offset) IN (
            SELECT origin_partition, origin_offset FROM rejected WHERE origin_topic = 'interactions'
        ), 'rejected',
        ''
    ) AS aside
FROM interactions
WHERE workspace = {workspace:String} AND app = {app:String} AND channel = {channel:String} AND user = {user:String}
    AND routed AND type != 'quarterhour.tick.v1'
ORDER BY kafka_partition, kafka_offset
