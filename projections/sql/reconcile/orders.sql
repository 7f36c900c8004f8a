-- When each command that changes plans or publication took effect: at its time, but after the newest start of any unit that
-- the workspace had in `account.inbox` before it.
CREATE TEMPORARY TABLE orders ENGINE = Memory AS
WITH plan_commands AS
(
    SELECT *
    FROM accepted
    WHERE kind IN (
        'create_app', 'publish_app', 'unpublish_app', 'start_trial', 'subscribe', 'cancel', 'approve_upgrade', 'end_contract'
    )
)
SELECT
    o.workspace AS workspace, o.sequence AS sequence, o.kind AS kind, o.body AS body,
    JSONExtractString(o.body, 'app') AS app,
    greatest(
        o.time_us,
        max(u.newest_us) OVER (
            PARTITION BY o.workspace ORDER BY o.sequence ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) + 1
    ) AS effective_us
FROM plan_commands AS o
LEFT JOIN
(
    -- Each unit event belongs to the first command after it.
    SELECT c.workspace AS workspace, c.kafka_offset AS kafka_offset, max(toUnixTimestamp64Micro(e.start)) AS newest_us
    FROM unit_events AS e
    ASOF INNER JOIN plan_commands AS c
        ON e.workspace = c.workspace AND e.kafka_partition = c.kafka_partition AND e.kafka_offset < c.kafka_offset
    GROUP BY workspace, kafka_offset
) AS u ON u.workspace = o.workspace AND u.kafka_offset = o.kafka_offset
