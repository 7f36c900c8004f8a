-- The units of a key as they stand: METER's (each by its newest revision), with what admitted late events did to them (U6).
SELECT unit_id, any(unit_kind), argMax(begin_us, (admitted, number)), sum(more_billable) > 0
FROM
(
    SELECT
        unit_id, kind AS unit_kind, toUnixTimestamp64Micro(start) AS begin_us, 0 AS admitted, revision AS number,
        toInt64(delta) AS more, toInt64(billable_delta) AS more_billable
    FROM unit_events
    WHERE workspace = {workspace:String} AND app = {app:String} AND channel = {channel:String} AND user = {user:String}
        AND environment = 'live'
    UNION ALL
    SELECT
        JSONExtractString(unit, 'unit_id'), JSONExtractString(unit, 'kind'), JSONExtractInt(unit, 'start_us'), 1, sequence,
        JSONExtractInt(unit, 'delta'), JSONExtractInt(unit, 'billable_delta')
    FROM ledger_changes ARRAY JOIN JSONExtractArrayRaw(body, 'units') AS unit
    WHERE workspace = {workspace:String} AND change = 'late_admitted' AND app = {app:String} AND user = {user:String}
        AND JSONExtractString(body, 'channel') = {channel:String}
)
GROUP BY unit_id
HAVING sum(more) > 0
