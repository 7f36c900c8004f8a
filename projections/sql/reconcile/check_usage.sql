-- L1: a record's usage lines are its charges.
SELECT
    'usage of a record' AS check, workspace, toString(sequence) AS key, '' AS day,
    sum(charged) AS expected, sum(line) AS found
FROM
(
    SELECT workspace, sequence, toInt64(sign * price_micros) AS charged, toInt64(0) AS line
    FROM ledger_charges
    WHERE workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
    UNION ALL
    SELECT workspace, sequence, toInt64(0), amount_micros
    FROM ledger_lines
    WHERE startsWith(account, 'usage:') AND workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
)
GROUP BY workspace, sequence
HAVING expected != found
