-- L2: each record carries the hash of the one before; the first, 64 zeros.
SELECT 'ledger hash chain' AS check, workspace, toString(sequence) AS key, '' AS day, toInt64(1) AS expected, toInt64(0) AS found
FROM
(
    SELECT
        workspace,
        sequence,
        previous_hash,
        lagInFrame(hash, 1, repeat('0', 64)) OVER (
            PARTITION BY workspace ORDER BY sequence, kafka_offset ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS hash_before
    FROM ledger_entries
    WHERE workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
)
WHERE previous_hash != hash_before
