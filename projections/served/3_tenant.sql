-- One workspace's reader. Replace WORKSPACE, READER and the hash for each (sed); run after 2_tenants.sql.

CREATE USER IF NOT EXISTS READER
    IDENTIFIED WITH sha256_hash BY '0000000000000000000000000000000000000000000000000000000000000000'
    DEFAULT ROLE quarterhour_tenants
    DEFAULT DATABASE quarterhour;
GRANT quarterhour_tenants TO READER;

CREATE ROW POLICY IF NOT EXISTS of_READER
    ON quarterhour.interactions, quarterhour.late, quarterhour.unit_events, quarterhour.usage_daily,
    quarterhour.ledger_entries, quarterhour.ledger_lines, quarterhour.ledger_charges, quarterhour.ledger_parts,
    quarterhour.billed_quarters, quarterhour.account_flows, quarterhour.grants, quarterhour.alerts,
    quarterhour.ledger_changes, quarterhour.entitlements, quarterhour.payment_requests
    USING workspace = 'WORKSPACE' TO READER;
