-- The units an event counts in: per kind the one of its key that started last before it.
SELECT argMax(id, begin) AS unit
FROM
(
    SELECT unit_id AS id, any(known.kind) AS unit_kind, argMax(start, revision) AS begin, argMax(change, revision) AS newest
    FROM
    (
        SELECT unit_id, kind, start, change, revision
        FROM unit_events
        WHERE workspace = {workspace:String} AND app = {app:String} AND channel = {channel:String} AND user = {user:String}
            AND environment = {environment:String}
        UNION ALL
        -- U6: what late events did to them that were admitted.
        SELECT
            JSONExtractString(unit, 'unit_id') AS unit_id, JSONExtractString(unit, 'kind') AS kind,
            fromUnixTimestamp64Micro(JSONExtractInt(unit, 'start_us'), 'UTC') AS start,
            if(JSONExtractInt(unit, 'delta') < 0, 'retracted', 'admitted') AS change,
            toUInt64(1e12) + sequence AS revision
        FROM ledger_changes
        ARRAY JOIN JSONExtractArrayRaw(body, 'units') AS unit
        WHERE workspace = {workspace:String} AND ledger_changes.change = 'late_admitted' AND app = {app:String}
            AND JSONExtractString(body, 'channel') = {channel:String} AND user = {user:String} AND {environment:String} = 'live'
    ) AS known
    GROUP BY unit_id
    HAVING newest != 'retracted' AND begin <= fromUnixTimestamp64Micro({time_us:Int64}, 'UTC')
)
WHERE if(
    unit_kind IN ('notification', 'alert'),
    {type:String} = concat('quarterhour.', unit_kind, '.v1') AND begin = fromUnixTimestamp64Micro({time_us:Int64}, 'UTC'),
    {type:String} != 'quarterhour.alert.v1'
)
GROUP BY unit_kind
ORDER BY indexOf(['conversation', 'notification', 'alert', 'session'], unit_kind)
