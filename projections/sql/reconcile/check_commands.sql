-- W3, law 3: each command has one ledger record, also if it is refused; the same again has none.
SELECT
    'command answered' AS check, workspace, command_id AS key, toString(toDate(min(time), 'UTC')) AS day,
    toInt64(1) AS expected, toInt64(sum(answers)) AS found
FROM
(
    SELECT
        c.workspace AS workspace, c.command_id AS command_id, c.time AS time, (c.actor_role, c.actor_name, c.body) AS content,
        toInt64(e.workspace != '') AS answers
    FROM commands AS c
    LEFT JOIN
    (
        SELECT workspace, origin_partition, origin_offset
        FROM ledger_entries
        WHERE origin_topic = 'account.inbox' AND kind NOT IN ('charge', 'reversal', 'lapse')
    ) AS e ON e.workspace = c.workspace AND e.origin_partition = c.kafka_partition AND e.origin_offset = c.kafka_offset
    WHERE (c.kafka_partition, c.kafka_offset) NOT IN (
        SELECT origin_partition, origin_offset FROM rejected WHERE origin_topic = 'account.inbox'
    )
)
GROUP BY workspace, command_id, time, content
HAVING expected != found
