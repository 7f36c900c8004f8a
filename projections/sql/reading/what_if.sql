-- U10: billable units, those of admitted late events (U6) included, of one kind by app and calendar month, in the order
-- of the price versions they would fall under.
SELECT
    app,
    toStartOfMonth(toDate(start, {zone:String})) AS month,
    arrayCount(since -> since <= toUnixTimestamp64Micro(start), {since_us:Array(Int64)}) AS version,
    sum(toInt64(billable_delta)) AS units
FROM
(
    SELECT app, start, billable_delta
    FROM unit_events
    WHERE workspace = {workspace:String} AND kind = {kind:String} AND environment = 'live'
    UNION ALL
    SELECT app, start, billable_delta
    FROM late_units
    WHERE workspace = {workspace:String} AND kind = {kind:String}
)
WHERE start >= fromUnixTimestamp64Micro({begin_us:Int64}, 'UTC') AND start < fromUnixTimestamp64Micro({end_us:Int64}, 'UTC')
GROUP BY app, month, version
HAVING units != 0
ORDER BY app, month, version
