-- The newest revision of a unit, retracted or not.
SELECT
    unit_id, kind, workspace, app, channel, user, environment, start, billable, conversation_id, change, last, revision
FROM unit_events
WHERE workspace = {workspace:String} AND unit_id = {unit_id:String}
ORDER BY revision DESC
LIMIT 1
