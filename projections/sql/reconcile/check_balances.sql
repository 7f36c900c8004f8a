-- L1: the sum of all lines of the grants is the credit after the newest record, that of the `due:<app>` accounts what is owed (C6).
SELECT measure.1 AS check, workspace, measure.2 AS key, '' AS day, measure.3 AS expected, measure.4 AS found
FROM
(
    SELECT
        e.workspace AS workspace,
        argMax(e.free_micros + e.paid_shared_micros + e.paid_apps_micros, e.sequence) AS credit_micros,
        argMax(e.due_micros, e.sequence) AS due_micros
    FROM ledger_entries AS e
    WHERE workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
    GROUP BY workspace
) AS newest
LEFT JOIN
(
    SELECT
        workspace,
        sumIf(amount_micros, startsWith(account, 'grant:')) AS grant_lines_micros,
        -sumIf(amount_micros, account = 'due' OR startsWith(account, 'due:')) AS due_lines_micros
    FROM ledger_lines
    WHERE workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
    GROUP BY workspace
) AS lines ON lines.workspace = newest.workspace
ARRAY JOIN
    [
        ('balance', 'credit', grant_lines_micros, credit_micros),
        ('balance', 'due', due_lines_micros, due_micros)
    ] AS measure
WHERE measure.3 != measure.4
