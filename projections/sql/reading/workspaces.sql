-- All workspaces with their balances, from the few flows of each.
SELECT
    f.workspace AS workspace,
    sumIf(f.micros, g.credit = 'free') AS free_micros,
    sumIf(f.micros, g.credit = 'paid' AND g.app = '') AS paid_shared_micros,
    sumIf(f.micros, g.credit = 'paid' AND g.app != '') AS paid_apps_micros,
    -sumIf(f.micros, startsWith(f.account, 'due')) AS due_micros,
    -sumIf(f.micros, f.what IN ('charged', 'returned')) AS charged_micros
FROM account_flows AS f
LEFT JOIN (SELECT workspace, concat('grant:', grant_id) AS account, any(credit) AS credit, any(app) AS app FROM grants GROUP BY ALL) AS g
    ON g.workspace = f.workspace AND g.account = f.account
GROUP BY workspace
ORDER BY due_micros > 0 DESC, workspace
