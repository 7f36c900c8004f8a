-- The newest revision of a unit, retracted or not; or what late events made of it that were admitted (U6).
-- A session belongs to the conversation that stands now (U14).
SELECT
    u.unit_id, u.kind, u.workspace, u.app, u.channel, u.user, u.environment, u.start, u.billable,
    if(u.kind != 'session' OR u.environment != 'live' OR c.unit_id = '', u.conversation_id, c.unit_id), u.change, u.last,
    u.revision
FROM
(
    SELECT
        unit_id, kind, workspace, app, channel, user, environment, start, billable, conversation_id, change, last, revision,
        toUInt64(0) AS admitted
    FROM unit_events
    WHERE workspace = {workspace:String} AND unit_id = {unit_id:String}
    UNION ALL
    SELECT
        JSONExtractString(unit, 'unit_id'), JSONExtractString(unit, 'kind'), workspace, app,
        JSONExtractString(body, 'channel'), user, 'live', fromUnixTimestamp64Micro(JSONExtractInt(unit, 'start_us'), 'UTC'),
        toBool(JSONExtractInt(unit, 'billable_delta') = 1 OR JSONExtractBool(unit, 'stays_billable')), '',
        if(JSONExtractInt(unit, 'delta') < 0, 'retracted', 'admitted'), NULL, 0, sequence
    FROM ledger_changes
    ARRAY JOIN JSONExtractArrayRaw(body, 'units') AS unit
    WHERE workspace = {workspace:String} AND change = 'late_admitted' AND JSONExtractString(unit, 'unit_id') = {unit_id:String}
) AS u
ASOF LEFT JOIN (SELECT * FROM late_conversations WHERE workspace = {workspace:String}) AS c
    ON u.workspace = c.workspace AND u.app = c.app AND u.channel = c.channel AND u.user = c.user AND u.start >= c.start
ORDER BY u.admitted DESC, u.revision DESC
LIMIT 1
