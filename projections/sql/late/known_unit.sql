-- The id of the unit of a key, kind and start: METER's, or one that was admitted (U6).
SELECT id
FROM
(
    SELECT unit_id AS id, argMax((kind, toUnixTimestamp64Micro(start), change), revision) AS newest
    FROM unit_events
    WHERE workspace = {workspace:String} AND app = {app:String} AND channel = {channel:String} AND user = {user:String}
        AND environment = 'live'
    GROUP BY unit_id
    HAVING newest.1 = {kind:String} AND newest.2 = {start_us:Int64} AND newest.3 != 'retracted'
    UNION ALL
    SELECT JSONExtractString(unit, 'unit_id'), (JSONExtractString(unit, 'kind'), JSONExtractInt(unit, 'start_us'), '')
    FROM ledger_changes ARRAY JOIN JSONExtractArrayRaw(body, 'units') AS unit
    WHERE workspace = {workspace:String} AND change = 'late_admitted' AND app = {app:String} AND user = {user:String}
        AND JSONExtractString(body, 'channel') = {channel:String} AND JSONExtractString(unit, 'kind') = {kind:String}
        AND JSONExtractInt(unit, 'start_us') = {start_us:Int64}
)
LIMIT 1
