-- What a workspace's own reader may see. Views run with the rights of who reads them (SQL SECURITY INVOKER, ClickHouse's
-- default for plain views), so the policies of the tables below hold through every view too.
-- Tables without a workspace (watermarks, load_*, loaders, reconciliations) are not granted.

CREATE ROLE IF NOT EXISTS quarterhour_tenants;
GRANT SELECT ON quarterhour.interactions TO quarterhour_tenants;
GRANT SELECT ON quarterhour.late TO quarterhour_tenants;
GRANT SELECT ON quarterhour.unit_events TO quarterhour_tenants;
GRANT SELECT ON quarterhour.usage_daily TO quarterhour_tenants;
GRANT SELECT ON quarterhour.ledger_entries TO quarterhour_tenants;
GRANT SELECT ON quarterhour.ledger_lines TO quarterhour_tenants;
GRANT SELECT ON quarterhour.ledger_charges TO quarterhour_tenants;
GRANT SELECT ON quarterhour.ledger_parts TO quarterhour_tenants;
GRANT SELECT ON quarterhour.billed_quarters TO quarterhour_tenants;
GRANT SELECT ON quarterhour.account_flows TO quarterhour_tenants;
GRANT SELECT ON quarterhour.grants TO quarterhour_tenants;
GRANT SELECT ON quarterhour.alerts TO quarterhour_tenants;
GRANT SELECT ON quarterhour.ledger_changes TO quarterhour_tenants;
GRANT SELECT ON quarterhour.entitlements TO quarterhour_tenants;
GRANT SELECT ON quarterhour.payment_requests TO quarterhour_tenants;
GRANT SELECT ON quarterhour.app_entitlements TO quarterhour_tenants;
GRANT SELECT ON quarterhour.app_profiles TO quarterhour_tenants;
GRANT SELECT ON quarterhour.plan_history TO quarterhour_tenants;
GRANT SELECT ON quarterhour.people TO quarterhour_tenants;
GRANT SELECT ON quarterhour.collaborators TO quarterhour_tenants;
GRANT SELECT ON quarterhour.licences TO quarterhour_tenants;
GRANT SELECT ON quarterhour.payments TO quarterhour_tenants;
GRANT SELECT ON quarterhour.included_units TO quarterhour_tenants;
GRANT SELECT ON quarterhour.alert_recipients TO quarterhour_tenants;
GRANT SELECT ON quarterhour.units TO quarterhour_tenants;
GRANT SELECT ON quarterhour.reused_identities TO quarterhour_tenants;
GRANT SELECT ON quarterhour.late_units TO quarterhour_tenants;
GRANT SELECT ON quarterhour.late_conversations TO quarterhour_tenants;
GRANT SELECT ON quarterhour.conversations TO quarterhour_tenants;
GRANT SELECT ON quarterhour.sessions TO quarterhour_tenants;
GRANT SELECT ON quarterhour.conversation_sessions TO quarterhour_tenants;
GRANT SELECT ON quarterhour.usage_monthly TO quarterhour_tenants;
GRANT SELECT ON quarterhour.billed_daily TO quarterhour_tenants;
GRANT SELECT ON quarterhour.billed_monthly TO quarterhour_tenants;
GRANT SELECT ON quarterhour.charges TO quarterhour_tenants;
GRANT SELECT ON quarterhour.accounts TO quarterhour_tenants;
GRANT SELECT ON quarterhour.apps TO quarterhour_tenants;
GRANT SELECT ON quarterhour.balances TO quarterhour_tenants;
GRANT SELECT ON quarterhour.balances_daily TO quarterhour_tenants;
GRANT SELECT ON quarterhour.grant_statistics TO quarterhour_tenants;
GRANT SELECT ON quarterhour.grant_balances TO quarterhour_tenants;
GRANT SELECT ON quarterhour.trend_daily TO quarterhour_tenants;
GRANT SELECT ON quarterhour.trend_weekly TO quarterhour_tenants;
GRANT SELECT ON quarterhour.trend_monthly TO quarterhour_tenants;
GRANT SELECT ON quarterhour.trend_last_months TO quarterhour_tenants;
GRANT SELECT ON quarterhour.account_credits TO quarterhour_tenants;
GRANT SELECT ON quarterhour.charges_of_period TO quarterhour_tenants;
GRANT SELECT ON quarterhour.ledger_of_period TO quarterhour_tenants;

CREATE SETTINGS PROFILE IF NOT EXISTS quarterhour_tenant_reading
    SETTINGS readonly = 1 CONST, max_execution_time = 20, max_memory_usage = 2000000000, max_result_rows = 1000000
    TO quarterhour_tenants;

-- Nothing, until 3_tenant.sql adds a workspace's own rows: by default a user to whom no policy applies would see all.
CREATE ROW POLICY IF NOT EXISTS nothing_by_default
    ON quarterhour.interactions, quarterhour.late, quarterhour.unit_events, quarterhour.usage_daily,
    quarterhour.ledger_entries, quarterhour.ledger_lines, quarterhour.ledger_charges, quarterhour.ledger_parts,
    quarterhour.billed_quarters, quarterhour.account_flows, quarterhour.grants, quarterhour.alerts,
    quarterhour.ledger_changes, quarterhour.entitlements, quarterhour.payment_requests
    USING false TO quarterhour_tenants;

CREATE ROW POLICY IF NOT EXISTS everyone_else
    ON quarterhour.interactions, quarterhour.late, quarterhour.unit_events, quarterhour.usage_daily,
    quarterhour.ledger_entries, quarterhour.ledger_lines, quarterhour.ledger_charges, quarterhour.ledger_parts,
    quarterhour.billed_quarters, quarterhour.account_flows, quarterhour.grants, quarterhour.alerts,
    quarterhour.ledger_changes, quarterhour.entitlements, quarterhour.payment_requests
    USING true TO ALL EXCEPT quarterhour_tenants;
