-- L1: one sequence per workspace, from 1, without a gap or a repeat. Each hole is listed by the number before it.
SELECT
    'ledger sequence' AS check, workspace, concat('after ', toString(before)) AS key, '' AS day,
    toInt64(before + 1) AS expected, toInt64(sequence) AS found
FROM
(
    SELECT
        workspace,
        sequence,
        lagInFrame(sequence, 1, 0) OVER (
            PARTITION BY workspace ORDER BY sequence, kafka_offset ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS before
    FROM ledger_entries
    WHERE workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
)
WHERE sequence != before + 1
