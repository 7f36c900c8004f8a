-- Workspaces, in order, and how much there is of each: what one step of the reconciliation holds in memory is a range of them.
SELECT workspace, sum(rows) AS rows
FROM
(
    SELECT workspace, count() AS rows FROM interactions GROUP BY workspace
    UNION ALL
    SELECT workspace, count() AS rows FROM ledger_lines GROUP BY workspace
)
WHERE workspace != ''
GROUP BY workspace
ORDER BY workspace
