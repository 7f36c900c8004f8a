-- Per end user: metered messages, and net units of all environments.
SELECT workspace, user, sum(message) AS events, sum(conversation) AS conversations, sum(session) AS sessions
FROM
(
    SELECT
        workspace, user,
        toInt64(uniqExact(app, channel, environment, source, id)) AS message,
        toInt64(0) AS conversation,
        toInt64(0) AS session
    FROM interactions
    WHERE routed AND type = 'quarterhour.message.v1'
        AND (kafka_partition, kafka_offset) NOT IN
        (
            SELECT origin_partition, origin_offset FROM late WHERE origin_topic = 'interactions'
            UNION ALL
            SELECT origin_partition, origin_offset FROM rejected WHERE origin_topic = 'interactions'
        )
    GROUP BY workspace, user
    UNION ALL
    SELECT workspace, user, toInt64(0), sumIf(toInt64(delta), kind = 'conversation'), sumIf(toInt64(delta), kind = 'session')
    FROM
    (
        SELECT workspace, user, kind, delta FROM unit_events
        UNION ALL
        SELECT workspace, user, kind, delta FROM late_units
    )
    GROUP BY workspace, user
)
GROUP BY workspace, user
HAVING events != 0 OR conversations != 0 OR sessions != 0
ORDER BY workspace, user
