-- L2: whether a ledger record's content still has the hash it carries, computed when it is loaded; NULL: loaded before
-- this column, not checked. Loading again from the log (L5) checks those too.
ALTER TABLE ledger_entries ADD COLUMN IF NOT EXISTS intact Nullable(Bool) AFTER hash;
