-- T1: what the trends and grant statistics are summed from, against the ledger's lines, per workspace and account.
SELECT measure.1 AS check, workspace, account AS key, '' AS day, lines_micros AS expected, measure.2 AS found
FROM
(
    SELECT
        workspace, account, sum(line) AS lines_micros, sum(part) AS parts_micros, sum(flow) AS flows_micros,
        sum(part_used) AS used_micros, sum(quarter) AS quarters_micros
    FROM
    (
        SELECT
            workspace, account, amount_micros AS line, toInt64(0) AS part, toInt64(0) AS flow, toInt64(0) AS part_used,
            toInt64(0) AS quarter
        FROM ledger_lines
        WHERE (startsWith(account, 'grant:') OR startsWith(account, 'due:')) AND workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
        UNION ALL
        SELECT workspace, account, 0, amount_micros, 0, if(what IN ('charged', 'returned'), -amount_micros, 0), 0
        FROM ledger_parts
        WHERE workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
        UNION ALL
        SELECT workspace, account, 0, 0, micros, 0, 0
        FROM account_flows
        WHERE workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
        UNION ALL
        SELECT workspace, account, 0, 0, 0, 0, micros
        FROM billed_quarters
        WHERE workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
    )
    GROUP BY workspace, account
)
ARRAY JOIN
    [
        ('ledger parts', parts_micros), ('account flows', flows_micros),
        ('billed usage', lines_micros + quarters_micros - used_micros)
    ] AS measure
WHERE lines_micros != measure.2
