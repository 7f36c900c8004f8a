-- How many late events of a workspace were admitted (U6).
SELECT sum(length(JSONExtractArrayRaw(body, 'events')))
FROM ledger_changes
WHERE workspace = {workspace:String} AND change = 'late_admitted'
