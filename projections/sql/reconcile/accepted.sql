-- W3: the commands that were obeyed: those whose ledger record is no refusal. `sequence` orders them within a workspace.
CREATE TEMPORARY TABLE accepted ENGINE = Memory AS
SELECT
    c.workspace AS workspace, e.sequence AS sequence, c.kafka_partition AS kafka_partition,
    c.kafka_offset AS kafka_offset, c.command_id AS command_id, toUnixTimestamp64Micro(c.time) AS time_us,
    c.kind AS kind, c.body AS body, c.amount_micros AS amount_micros
FROM commands AS c
INNER JOIN
(
    SELECT workspace, sequence, origin_partition, origin_offset
    FROM ledger_entries
    WHERE origin_topic = 'account.inbox' AND kind NOT IN ('command_refused', 'charge', 'reversal', 'lapse')
) AS e ON e.workspace = c.workspace AND e.origin_partition = c.kafka_partition AND e.origin_offset = c.kafka_offset
