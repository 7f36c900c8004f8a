-- By UTC day of the unit's start: net and billable units, and what was charged for them.
SELECT toString(day) AS day, kind, sum(units) AS units, sum(billable_units) AS billable_units, sum(micros) AS charged_micros
FROM
(
    SELECT day, kind, units, billable_units, toInt64(0) AS micros
    FROM usage_daily
    WHERE {workspace:String} IN ('', workspace)
    UNION ALL
    SELECT toDate(time, 'UTC') AS day, substring(account, 7) AS kind, toInt64(0), toInt64(0), amount_micros
    FROM ledger_lines
    WHERE startsWith(account, 'usage:') AND {workspace:String} IN ('', workspace)
)
GROUP BY day, kind
ORDER BY day, kind
