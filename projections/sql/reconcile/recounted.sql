-- The batch recount (U5): one row per unit, over the distinct events that are neither refused nor late
-- (but for late ones that an operator admitted).
CREATE TEMPORARY TABLE recounted ENGINE = Memory AS
WITH
    -- U7: of one identity the first counts, and those that are events of their own (`again`). Re-routed copies stand for what
    -- lay in a wrong partition.
    metered AS
    (
        SELECT
            any(workspace) AS workspace,
            any(app) AS app,
            any(channel) AS channel,
            any(user) AS user,
            any(environment) AS environment,
            argMin((toUnixTimestamp64Micro(time), type, direction = 'inbound', actor), kafka_offset) AS event
        FROM interactions
        WHERE routed AND type != 'quarterhour.tick.v1'
            AND interactions.workspace >= {low:String} AND (interactions.workspace < {high:String} OR {high:String} = '')
            AND (kafka_partition, kafka_offset) NOT IN
            (
                SELECT kafka_partition, kafka_offset
                FROM judged
                WHERE verdict = 'early'
                    OR verdict = 'late' AND (kafka_partition, kafka_offset) NOT IN (SELECT kafka_partition, kafka_offset FROM admitted)
            )
        GROUP BY sipHash128(
            interactions.workspace, interactions.app, interactions.channel, interactions.user,
            interactions.environment, interactions.source, interactions.id,
            if((kafka_partition, kafka_offset) IN (SELECT kafka_partition, kafka_offset FROM again), kafka_offset + 1, 0)
        )
        -- U12: what a human agent does is nothing the app did.
        HAVING event.4 != 'human_agent'
    ),
    -- U3: the key. Alerts are no activity of an end user; a notification is activity, of the app.
    keys AS
    (
        SELECT
            workspace, app, channel, user, environment,
            arraySort(groupArray((event.1, event.3 AND event.2 = 'quarterhour.message.v1'))) AS activity,
            activity.1 AS activity_times
        FROM metered
        WHERE event.2 != 'quarterhour.alert.v1'
        GROUP BY workspace, app, channel, user, environment
    ),
    -- U1: a conversation ends where the next event is more than the gap away.
    conversations AS
    (
        SELECT
            workspace, app, channel, user, environment,
            events.1 AS times,
            arrayMap(event -> event.1, arrayFilter(event -> event.2, events)) AS inbound_times,
            -- U2: greedy sessions, cut within the conversation: a gap that ends one always ends the other.
            arrayFold(
                (starts, time_us) -> if(
                    time_us >= starts[-1] + {session_us:Int64}, arrayPushBack(starts, time_us), starts
                ),
                times, [times[1]]
            ) AS session_starts
        FROM keys
        ARRAY JOIN
            arraySplit((event, step_us) -> step_us > {gap_us:Int64}, activity, arrayDifference(activity_times)) AS events
    )
SELECT workspace, app, channel, user, environment, unit.1 AS kind, unit.2 AS start_us, environment = 'live' AND unit.3 AS billable
FROM
(
    SELECT
        workspace, app, channel, user, environment,
        arrayJoin(arrayPushFront(
            arrayMap(
                start_us -> (
                    'session', start_us,
                    arrayExists(time_us -> time_us >= start_us AND time_us < start_us + {session_us:Int64}, inbound_times)
                ),
                session_starts
            ),
            ('conversation', times[1], notEmpty(inbound_times))
        )) AS unit
    FROM conversations
    UNION ALL
    -- U8, U9: each is a unit of its own.
    SELECT
        workspace, app, channel, user, environment,
        (if(event.2 = 'quarterhour.alert.v1', 'alert', 'notification'), event.1, true) AS unit
    FROM metered
    WHERE event.2 IN ('quarterhour.alert.v1', 'quarterhour.notification.v1')
)
