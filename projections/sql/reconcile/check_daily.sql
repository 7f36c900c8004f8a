-- The daily target against the unit events it is made of, and what late events add that an operator admitted (U6).
SELECT measure.1 AS check, workspace, key, toString(day) AS day, measure.2 AS expected, measure.3 AS found
FROM
(
    SELECT
        workspace, concat(app, '/', channel, ' ', environment, ' ', kind) AS key, day,
        sum(units) AS units, sum(billable) AS billable, sum(target_units) AS target_units,
        sum(target_billable) AS target_billable
    FROM
    (
        SELECT
            workspace, app, channel, environment, kind, toDate(start, 'UTC') AS day, toInt64(delta) AS units,
            toInt64(billable_delta) AS billable, toInt64(0) AS target_units, toInt64(0) AS target_billable
        FROM unit_events
        WHERE workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
        UNION ALL
        SELECT
            workspace, app, channel, 'live', kind, toDate(fromUnixTimestamp64Micro(start_us, 'UTC'), 'UTC'), delta,
            billable_delta, toInt64(0), toInt64(0)
        FROM admitted_units
        WHERE workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
        UNION ALL
        SELECT
            workspace, app, channel, environment, kind, usage_daily.day, toInt64(0), toInt64(0), usage_daily.units,
            billable_units
        FROM usage_daily
        WHERE workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
    )
    GROUP BY workspace, key, day
)
ARRAY JOIN
    [('daily usage', units, target_units), ('daily billable usage', billable, target_billable)] AS measure
WHERE measure.2 != measure.3
