-- L2: each record's content has the hash it carries. What was loaded before that was checked is told apart.
SELECT
    if(intact IS NULL, 'ledger hash not checked', 'ledger hash') AS check, workspace, toString(sequence) AS key, '' AS day,
    toInt64(1) AS expected, toInt64(0) AS found
FROM ledger_entries
WHERE (intact IS NULL OR NOT intact) AND workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
