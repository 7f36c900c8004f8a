-- L6, U5: units and billable units, recounted against the net of METER's unit events and of what late events
-- add that an operator admitted (U6).
SELECT
    measure.1 AS check,
    workspace,
    concat(app, '/', channel, '/', user, ' ', environment, ' ', kind) AS key,
    toString(day) AS day,
    measure.2 AS expected,
    measure.3 AS found,
    (app, channel, user, '') AS place
FROM
(
    SELECT
        workspace, app, channel, user, environment, kind, day,
        sum(expected_units) AS expected_units,
        sum(expected_billable) AS expected_billable,
        sum(found_units) AS found_units,
        sum(found_billable) AS found_billable
    FROM
    (
        SELECT
            workspace, app, channel, user, environment, kind,
            toDate(fromUnixTimestamp64Micro(start_us, 'UTC'), 'UTC') AS day,
            toInt64(1) AS expected_units,
            toInt64(billable) AS expected_billable,
            toInt64(0) AS found_units,
            toInt64(0) AS found_billable
        FROM recounted
        UNION ALL
        SELECT
            workspace, app, channel, user, environment, kind,
            toDate(start, 'UTC') AS day,
            toInt64(0),
            toInt64(0),
            toInt64(delta),
            toInt64(billable_delta)
        FROM unit_events
        WHERE workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
        UNION ALL
        SELECT
            workspace, app, channel, user, 'live', kind,
            toDate(fromUnixTimestamp64Micro(start_us, 'UTC'), 'UTC') AS day,
            toInt64(0),
            toInt64(0),
            delta,
            billable_delta
        FROM admitted_units
        WHERE workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
    )
    GROUP BY workspace, app, channel, user, environment, kind, day
    HAVING expected_units != found_units OR expected_billable != found_billable
)
ARRAY JOIN
    [('units', expected_units, found_units), ('billable units', expected_billable, found_billable)] AS measure
WHERE measure.2 != measure.3
