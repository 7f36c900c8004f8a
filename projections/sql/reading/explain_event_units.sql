-- The units an event counts in: per kind the one of its key that started last before it.
SELECT argMax(id, begin) AS unit
FROM
(
    SELECT unit_id AS id, any(unit_events.kind) AS unit_kind, argMax(start, revision) AS begin, argMax(change, revision) AS newest
    FROM unit_events
    WHERE workspace = {workspace:String} AND app = {app:String} AND channel = {channel:String} AND user = {user:String}
        AND environment = {environment:String}
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
