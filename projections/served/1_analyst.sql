-- A read-only user for trusted analysts, who see all workspaces. Run as an administrator, on a served ClickHouse.
-- Replace the password's hash: printf %s 'the password' | sha256sum

CREATE ROLE IF NOT EXISTS quarterhour_analysts;
GRANT SELECT, SHOW ON quarterhour.* TO quarterhour_analysts;

-- readonly = 1: reads only, and no setting may be changed.
CREATE SETTINGS PROFILE IF NOT EXISTS quarterhour_reading
    SETTINGS readonly = 1 CONST, max_execution_time = 60, max_memory_usage = 4000000000, max_result_rows = 5000000
    TO quarterhour_analysts;

CREATE USER IF NOT EXISTS quarterhour_analyst
    IDENTIFIED WITH sha256_hash BY '0000000000000000000000000000000000000000000000000000000000000000'
    DEFAULT ROLE quarterhour_analysts
    DEFAULT DATABASE quarterhour;
GRANT quarterhour_analysts TO quarterhour_analyst;
