-- Everything the account view shows, in one answer of few rows, because planning and the way there cost more than reading.
-- `part` says what a row is; the columns after it are that part's, and empty where it has none.
SELECT
    'ledger' AS part, '' AS a, '' AS b, '' AS c,
    [
        toInt64(max(sequence)), toUnixTimestamp64Micro(argMin(time, sequence)), argMax(free_micros, sequence),
        argMax(paid_shared_micros, sequence), argMax(paid_apps_micros, sequence), argMax(due_micros, sequence)
    ] AS n
FROM ledger_entries
WHERE workspace = {workspace:String}
GROUP BY workspace
UNION ALL
SELECT 'flow', account, app, what, [sum(units), sum(micros)]
FROM account_flows
WHERE workspace = {workspace:String}
GROUP BY account, app, what
UNION ALL
SELECT
    'grant', grant_id, any(app), any(credit),
    [any(toUnixTimestamp64Micro(granted)), any(coalesce(toUnixTimestamp64Micro(expires), -1))]
FROM grants
WHERE workspace = {workspace:String}
GROUP BY grant_id
UNION ALL
SELECT 'units', app, kind, '', [sum(units)]
FROM usage_daily
WHERE workspace = {workspace:String} AND environment = 'live'
GROUP BY app, kind
UNION ALL
-- The last 30 days only (E4): neighbours in the sort key.
SELECT
    'recent', app, '', '',
    [
        sumIf(units, quarter >= {average_since:Int64}), sumIf(micros, quarter >= {average_since:Int64}),
        toInt64(maxIf(quarter, units > 0))
    ]
FROM billed_quarters
WHERE workspace = {workspace:String} AND quarter >= {since:Int64}
GROUP BY app
UNION ALL
SELECT 'alert', alert_id, kind, message, [toUnixTimestamp64Micro(time)]
FROM (SELECT * FROM alerts WHERE workspace = {workspace:String} ORDER BY time DESC, alert_id LIMIT 20)
UNION ALL
SELECT 'late', '', '', '', [toInt64(count())]
FROM late
WHERE workspace = {workspace:String}
