SELECT workspace, sequence, free_micros, paid_shared_micros, paid_apps_micros, due_micros
FROM balances
ORDER BY workspace
