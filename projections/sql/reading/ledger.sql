-- The newest ledger records of a workspace, and what each changed.
WITH newest AS
(
    SELECT sequence, time, kind, cause, note, free_micros, paid_shared_micros, paid_apps_micros, due_micros
    FROM ledger_entries
    WHERE workspace = {workspace:String} AND sequence < {before:UInt64}
    ORDER BY workspace DESC, sequence DESC
    LIMIT {limit:UInt32}
)
SELECT
    e.sequence, e.time, e.kind, e.cause, e.note, l.usage_micros, l.credit_micros,
    e.free_micros, e.paid_shared_micros, e.paid_apps_micros, e.due_micros
FROM newest AS e
LEFT JOIN
(
    SELECT
        sequence, sumIf(amount_micros, startsWith(account, 'usage:')) AS usage_micros,
        sumIf(amount_micros, startsWith(account, 'grant:')) AS credit_micros
    FROM ledger_lines
    WHERE workspace = {workspace:String}
        AND sequence >= (SELECT min(sequence) FROM newest) AND sequence <= (SELECT max(sequence) FROM newest)
    GROUP BY sequence
) AS l ON l.sequence = e.sequence
ORDER BY e.sequence DESC
