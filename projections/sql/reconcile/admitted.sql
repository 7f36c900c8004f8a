-- U6: the late events that an operator let count after all, as the ledger names them.
CREATE TEMPORARY TABLE admitted ENGINE = Memory AS
SELECT
    workspace, JSONExtract(event, 'partition', 'UInt32') AS kafka_partition, JSONExtract(event, 'offset', 'UInt64') AS kafka_offset
FROM ledger_changes
ARRAY JOIN JSONExtractArrayRaw(body, 'events') AS event
WHERE change = 'late_admitted'
