-- U6: what admitted late events do to METER's units, as the ledger says: units that come, go, move, turn billable or not.
CREATE TEMPORARY TABLE admitted_units ENGINE = Memory AS
SELECT
    workspace, sequence, app, JSONExtractString(body, 'channel') AS channel, user, JSONExtractString(unit, 'unit_id') AS unit_id,
    JSONExtractString(unit, 'kind') AS kind, JSONExtractInt(unit, 'start_us') AS start_us,
    JSONExtractInt(unit, 'delta') AS delta, JSONExtractInt(unit, 'billable_delta') AS billable_delta
FROM ledger_changes
ARRAY JOIN JSONExtractArrayRaw(body, 'units') AS unit
WHERE change = 'late_admitted'
