INSERT INTO usage_daily (workspace, day, app, channel, environment, kind, units, billable_units)
SELECT
    concat('ws-', toString(number % {workspaces:UInt32})), toDate('2025-01-01') + intDiv(number, {workspaces:UInt32}),
    concat('app-', toString(app)), channel, 'live', kind, 30, 25
FROM numbers({workspaces:UInt64} * 365)
ARRAY JOIN range(7) AS app
ARRAY JOIN ['web', 'whatsapp', 'voice'] AS channel
ARRAY JOIN ['conversation', 'session'] AS kind
