-- Every app of a workspace: live units, billed units, cost, its own credit and debt, and the last days' use.
SELECT
    app, sum(c) AS conversations, sum(s) AS sessions, sum(n) AS notifications, sum(b) AS billed_units,
    sum(m) AS charged_micros, sum(own) AS credit_micros, sum(d) AS due_micros,
    if(max(last) = 0, NULL, fromUnixTimestamp64Second(toInt64(max(last)) * 900, 'UTC')) AS last_billed,
    sum(paid) > 0 AS is_paid, sum(ru) AS recent_units, sum(rm) AS recent_micros
FROM
(
    SELECT
        app, sumIf(units, kind = 'conversation') AS c, sumIf(units, kind = 'session') AS s,
        sumIf(units, kind IN ('notification', 'alert')) AS n, toInt64(0) AS b, toInt64(0) AS m, toInt64(0) AS own,
        toInt64(0) AS d, toUInt32(0) AS last, toInt64(0) AS paid, toInt64(0) AS ru, toInt64(0) AS rm
    FROM usage_daily
    WHERE workspace = {workspace:String} AND environment = 'live'
    GROUP BY app
    UNION ALL
    SELECT
        app, 0, 0, 0, sum(units), -sum(micros), 0, 0, 0,
        toInt64(countIf(account IN
            (
                SELECT concat('grant:', grant_id) FROM grants WHERE workspace = {workspace:String} AND credit = 'paid'
            ))), 0, 0
    FROM account_flows
    WHERE workspace = {workspace:String} AND what IN ('charged', 'returned')
    GROUP BY app
    UNION ALL
    -- The last 30 days only (E4): neighbours in the sort key.
    SELECT
        app, 0, 0, 0, 0, 0, 0, 0, maxIf(quarter, units > 0), 0,
        sumIf(units, quarter >= {average_since:Int64}), sumIf(micros, quarter >= {average_since:Int64})
    FROM billed_quarters
    WHERE workspace = {workspace:String} AND quarter >= {since:Int64}
    GROUP BY app
    UNION ALL
    SELECT g.app, 0, 0, 0, 0, 0, f.micros, 0, 0, 1, 0, 0
    FROM account_flows AS f
    INNER JOIN (SELECT grant_id, any(grants.app) AS app FROM grants WHERE workspace = {workspace:String} GROUP BY grant_id) AS g
        ON f.account = concat('grant:', g.grant_id)
    WHERE f.workspace = {workspace:String} AND g.app != ''
    UNION ALL
    SELECT substring(account, 5), 0, 0, 0, 0, 0, 0, -micros, 0, 0, 0, 0
    FROM account_flows
    WHERE workspace = {workspace:String} AND startsWith(account, 'due:')
)
GROUP BY app
ORDER BY charged_micros DESC, app
