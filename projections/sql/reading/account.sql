-- The newest ledger record of a workspace, the data's clock, and when the ledger began.
SELECT
    coalesce((SELECT if(count() = 0, NULL, max(now)) FROM watermarks), e.time) AS data_clock,
    (
        SELECT time FROM ledger_entries WHERE workspace = {workspace:String} ORDER BY workspace, sequence LIMIT 1
    ) AS created,
    e.sequence, e.free_micros, e.paid_shared_micros, e.paid_apps_micros, e.due_micros,
    (SELECT count() FROM late WHERE workspace = {workspace:String}) AS late_events,
    '' AS plan_id
FROM
(
    SELECT time, sequence, free_micros, paid_shared_micros, paid_apps_micros, due_micros
    FROM ledger_entries
    WHERE workspace = {workspace:String}
    ORDER BY workspace DESC, sequence DESC
    LIMIT 1
) AS e
