-- The newest ledger record of a workspace, and its first, without reading the others: kept per part of the table, so
-- that it can never differ from it, and merged when read. `balances` and `accounts` are answered from it too.
-- A row that is deleted (by hand) goes out of it too.
ALTER TABLE ledger_entries MODIFY SETTING lightweight_mutation_projection_mode = 'rebuild';
ALTER TABLE ledger_entries ADD PROJECTION IF NOT EXISTS newest
(
    SELECT
        workspace, max(sequence), min(time), max(time), argMin(time, sequence), argMax(time, sequence),
        argMax(free_micros, sequence), argMax(paid_shared_micros, sequence), argMax(paid_apps_micros, sequence),
        argMax(due_micros, sequence)
    GROUP BY workspace
);
ALTER TABLE ledger_entries MATERIALIZE PROJECTION newest;
