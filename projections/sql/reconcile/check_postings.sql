-- L1: the lines of a ledger record sum to zero.
SELECT
    'posting sums to zero' AS check, workspace, toString(sequence) AS key, '' AS day,
    toInt64(0) AS expected, sum(amount_micros) AS found
FROM ledger_lines
WHERE workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
GROUP BY workspace, sequence
HAVING found != 0
