-- The daily target against the unit events it is made of.
SELECT 'daily usage' AS check, workspace, key, toString(day) AS day, sum(events) AS expected, sum(target) AS found
FROM
(
    SELECT
        workspace, concat(app, '/', channel, ' ', environment, ' ', kind) AS key, toDate(start, 'UTC') AS day,
        toInt64(delta) AS events, toInt64(0) AS target
    FROM unit_events
    WHERE workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
    UNION ALL
    SELECT workspace, concat(app, '/', channel, ' ', environment, ' ', kind) AS key, day, toInt64(0), units
    FROM usage_daily
    WHERE workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
)
GROUP BY workspace, key, day
HAVING expected != found
