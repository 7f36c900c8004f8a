-- L1, L4: the balance a line states is the sum of the account's lines up to it.
SELECT
    'account balance' AS check, workspace, concat(account, ' at ', toString(sequence)) AS key, '' AS day,
    running_micros AS expected, balance_micros AS found
FROM
(
    SELECT
        workspace, account, sequence, balance_micros,
        sum(amount_micros) OVER (
            PARTITION BY workspace, account ORDER BY sequence, line_index
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS running_micros
    FROM ledger_lines
    WHERE workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
)
WHERE running_micros != balance_micros
