-- Late events that an operator bills after all (U6): METER has forgotten their time, so what they add is told by the
-- ledger alone. From here on it is part of the units and of daily usage, as it is of what is billed.

-- One row per unit that admitted late events changed: one more (`delta` 1), one less (-1), or one that starts elsewhere or is
-- billable after all (0). `billable` is the state after it.
CREATE VIEW late_units AS
SELECT
    c.workspace AS workspace, c.app AS app, JSONExtractString(c.body, 'channel') AS channel, c.user AS user,
    JSONExtractString(unit, 'unit_id') AS unit_id, JSONExtractString(unit, 'kind') AS kind,
    fromUnixTimestamp64Micro(JSONExtractInt(unit, 'start_us'), 'UTC') AS start,
    toInt8(JSONExtractInt(unit, 'delta')) AS delta, toInt8(JSONExtractInt(unit, 'billable_delta')) AS billable_delta,
    toBool(billable_delta = 1 OR JSONExtractBool(unit, 'stays_billable')) AS billable,
    c.sequence AS sequence, c.time AS admitted
FROM ledger_changes AS c
ARRAY JOIN JSONExtractArrayRaw(c.body, 'units') AS unit
WHERE c.change = 'late_admitted';

CREATE MATERIALIZED VIEW usage_daily_of_changes TO usage_daily AS
SELECT
    workspace,
    toDate(fromUnixTimestamp64Micro(JSONExtractInt(unit, 'start_us'), 'UTC'), 'UTC') AS day,
    app,
    JSONExtractString(body, 'channel') AS channel,
    'live' AS environment,
    JSONExtractString(unit, 'kind') AS kind,
    sum(JSONExtractInt(unit, 'delta')) AS units,
    sum(JSONExtractInt(unit, 'billable_delta')) AS billable_units
FROM ledger_changes
ARRAY JOIN JSONExtractArrayRaw(body, 'units') AS unit
WHERE change = 'late_admitted'
GROUP BY workspace, day, app, channel, environment, kind;

-- What was admitted before this view was there.
INSERT INTO usage_daily (workspace, day, app, channel, environment, kind, units, billable_units)
SELECT workspace, toDate(start, 'UTC') AS day, app, channel, 'live', kind, sum(delta), sum(billable_delta)
FROM late_units
GROUP BY workspace, day, app, channel, kind
ORDER BY workspace, day, app, channel, kind
SETTINGS insert_deduplication_token = 'admitted before 0013', max_threads = 1, max_insert_threads = 1;

-- One row per unit by its newest revision, and what was admitted since; a retracted unit never was (U5).
CREATE OR REPLACE VIEW units AS
SELECT
    e.unit_id AS unit_id,
    argMax(e.kind, e.turn) AS kind,
    argMax(e.workspace, e.turn) AS workspace,
    argMax(e.app, e.turn) AS app,
    argMax(e.channel, e.turn) AS channel,
    argMax(e.user, e.turn) AS user,
    argMax(e.environment, e.turn) AS environment,
    argMax(e.start, e.turn) AS start,
    argMax(e.billable, e.turn) AS billable,
    argMax(e.conversation_id, e.counted) AS conversation_id,
    argMax(e.change, e.turn) AS change,
    change IN ('closed', 'admitted') AS closed,
    -- In a tuple, because argMax passes over NULL.
    argMax((e.last,), e.counted).1 AS last,
    argMax((e.inbound,), e.counted).1 AS inbound,
    argMax((e.outbound,), e.counted).1 AS outbound,
    if(max(e.counted) = 0, 0, max(e.counted) - 1) AS revision
FROM
(
    -- `counted`: METER's revisions from 1 on; `turn`: what was admitted comes after all of them, because they are final.
    SELECT
        unit_id, kind, workspace, app, channel, user, environment, start, billable, conversation_id, change, last, inbound,
        outbound, revision + 1 AS counted, (toUInt64(0), revision) AS turn
    FROM unit_events
    UNION ALL
    SELECT
        unit_id, kind, workspace, app, channel, user, 'live', start, billable, '', if(delta < 0, 'retracted', 'admitted'), NULL,
        NULL, NULL, toUInt64(0), (toUInt64(1), sequence)
    FROM late_units
) AS e
GROUP BY unit_id
HAVING change != 'retracted';

-- U7: ids that were used on events of several times, whether they changed nothing or count on their own.
CREATE VIEW reused_identities AS
SELECT
    i.workspace AS workspace, i.app AS app, i.channel AS channel, i.user AS user, i.environment AS environment,
    i.source AS source, i.id AS id, count() AS arrivals, uniqExact(i.time) AS times, min(i.time) AS first, max(i.time) AS last
FROM interactions AS i
WHERE i.routed AND i.type != 'quarterhour.tick.v1'
GROUP BY workspace, app, channel, user, environment, source, id
HAVING first != last;
